package bpfiter

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/seed-44df2ae6/whose/internal/source"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// partOf is asks_process of bpf/question.h: the part that a process is in.
func partOf(pid, parts int) int {
	return int(uint64(uint32(pid)*0x9e3779b1) * uint64(parts) >> 32)
}

// TestPartOf deals processes out to threads, by numbers such as hosts have: each
// thread is given about as many.
func TestPartOf(t *testing.T) {
	const processes = 512
	for _, threads := range []int{2, 3, 4, 8, 63} {
		for _, step := range []int{1, 2, 3, 4, 8, 16, 64, 100, 128, 1000} {
			for _, first := range []int{2, 1000, 32_768, 3_000_000} {
				counts := make([]int, threads)
				for i := range processes {
					counts[partOf((first+i*step)%maxPID, threads)]++
				}
				for part, n := range counts {
					if n < processes/threads/2 || n > processes/threads*2+2 {
						t.Errorf("%d threads, every %d. number from %d on: thread %d is given %d processes of %d",
							threads, step, first, part, n, processes)
					}
				}
			}
		}
	}
}

// TestParts_AreEven counts the records that each of 2, 4 and 8 threads is given: all
// have something to do, however many processors this host has, and nothing is given
// twice. The descriptors go by [partOf].
func TestParts_AreEven(t *testing.T) {
	testenv.NeedKernel(t, 6, 2, "bpf_rdonly_cast")
	const most, processes, sockets = 8, 40, 60
	ns := testenv.NewNetNS(t)
	mine := make(map[uint32]bool)
	for range processes {
		mine[startSockets(t, ns, sockets)] = true
	}
	startIdle(t, mine, 60)
	s := open(t, Options{})
	must(t, s.needTaskFile())
	ask := newQuestion(asking(source.Query{}))
	for _, threads := range []int{2, 4, most} {
		s.threads = threads
		for _, walk := range []run{s.run(fdWalk, s.fdWalk, ask, nil), s.run(taskFile, s.taskFile, ask, nil)} {
			parts, met := countParts(t, s, walk, func(kind recordKind, b []byte) uint32 {
				if kind == recordTask && mine[as[taskRecord](b).pid] {
					return as[taskRecord](b).pid
				}
				return 0
			}), 0
			for part, pids := range parts {
				for pid, n := range pids {
					met += n
					if want := partOf(int(pid), threads); part != want {
						t.Errorf("%v: thread %d of %d is given process %d, want thread %d", walk.of, part, threads, pid, want)
					}
				}
			}
			if met != len(mine) {
				t.Errorf("%v: %d threads are given %d processes, want each of %d once", walk.of, threads, met, len(mine))
			}
		}
		total, met := processes*sockets, 0
		for part, shares := range countParts(t, s, s.run(hashWalk, s.hashWalk, ask, nil), func(kind recordKind, b []byte) uint32 {
			if kind == recordID && as[idRecord](b).netns == ns.Inode() {
				return 1
			}
			return 0
		}) {
			if met += shares[1]; shares[1] < total/threads/2 {
				t.Errorf("thread %d of %d is given %d sockets of %d", part, threads, shares[1], total)
			}
		}
		if met != total {
			t.Errorf("%d threads: %d sockets in the tables, want %d", threads, met, total)
		}
	}
}

// startIdle adds n processes that have a file open, and no socket.
func startIdle(t *testing.T, to map[uint32]bool, n int) {
	t.Helper()
	null, err := os.Open(os.DevNull)
	must(t, err)
	t.Cleanup(func() { null.Close() })
	for range n {
		cmd := exec.Command(testenv.NeedProgram(t, "sleep"), "600")
		cmd.Stdin, cmd.Stdout = null, null
		must(t, testenv.Start(t, cmd))
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		to[uint32(cmd.Process.Pid)] = true
	}
}

// countParts makes a run in parts, and counts the records that each was given, by
// what key makes of them. Those of key 0 are not counted.
func countParts(t *testing.T, s *Source, r run, key func(recordKind, []byte) uint32) []map[uint32]int {
	t.Helper()
	counts := make([]map[uint32]int, s.threads)
	runs := s.parts(r)
	for i := range runs {
		counts[i] = make(map[uint32]int)
		runs[i].apply = func(b []byte) error {
			for r := (records{rest: b}); r.next(); {
				if k := key(r.kind, r.body); k != 0 {
					counts[i][k]++
				}
			}
			return nil
		}
	}
	if err := s.readRuns(context.Background(), runs); err != nil {
		t.Fatal(fmt.Errorf("read %d parts: %w", len(runs), err))
	}
	return counts
}
