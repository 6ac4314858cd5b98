package bpfiter

import (
	"context"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose/internal/source"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// TestParts_AreEven counts the records that each of 2, 4 and 8 threads is given: all
// would have about the same to do, however many processors this host has.
func TestParts_AreEven(t *testing.T) {
	testenv.NeedKernel(t, 6, 2, "bpf_rdonly_cast")
	const most, each, sockets = 8, 3, 120
	ns := testenv.NewNetNS(t)
	evenProcesses(t, ns, most, each, sockets)
	s := open(t, Options{})
	ask := newQuestion(asking(source.Query{}))
	for _, threads := range []int{2, 4, most} {
		s.threads = threads
		total := most * each * sockets
		for _, n := range countParts(t, s, s.run(fdWalk, s.fdWalk, ask, nil), ns) {
			if n != total/threads {
				t.Errorf("%d threads: one is given %d descriptors of %d", threads, n, total)
			}
		}
		shares := countParts(t, s, s.run(hashWalk, s.hashWalk, ask, nil), ns)
		t.Logf("%d threads: of the tables %v", threads, shares)
		met := 0
		for _, n := range shares {
			if met += n; n < total/threads/2 {
				t.Errorf("%d threads: one is given %d sockets of %d", threads, n, total)
			}
		}
		if met != total {
			t.Errorf("%d threads: %d sockets in the tables, want %d", threads, met, total)
		}
	}
}

// evenProcesses starts processes with sockets, as many with each remainder of their
// numbers. It ends those beyond.
func evenProcesses(t *testing.T, ns *testenv.NetNS, remainders, each, sockets int) {
	t.Helper()
	have, missing := make(map[int]int), remainders*each
	for tries := 0; missing > 0; tries++ {
		if tries == 100*remainders {
			t.Fatalf("after %d processes %d are missing", tries, missing)
		}
		pid := int(startSockets(t, ns, sockets))
		if have[pid%remainders] < each {
			have[pid%remainders]++
			missing--
			continue
		}
		must(t, unix.Kill(pid, unix.SIGKILL))
		must(t, unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil))
	}
}

// countParts makes a run in parts, and counts the sockets of the namespace that each
// was given.
func countParts(t *testing.T, s *Source, r run, ns *testenv.NetNS) []int {
	t.Helper()
	counts := make([]int, s.threads)
	runs := s.parts(r)
	for i := range runs {
		runs[i].apply = func(b []byte) error {
			for r := (records{rest: b}); r.next(); {
				switch {
				case r.kind == recordSocket && as[socketRecord](r.body).netns == ns.Inode(),
					r.kind == recordID && as[idRecord](r.body).netns == ns.Inode():
					counts[i]++
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
