package bpfiter

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose/internal/source"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// socketsEnv makes a child of the tests a process with so many sockets.
const socketsEnv = "WHOSE_TEST_MANY_SOCKETS"

// manySockets binds so many sockets, says so, and waits for its end.
func manySockets(n int) {
	for range n {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
		if err == nil {
			err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
		}
		if err != nil {
			fmt.Println(err)
			return
		}
	}
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
}

// startSockets starts a process with so many sockets.
func startSockets(t *testing.T, ns *testenv.NetNS, n int) uint32 {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{socketsEnv + "=" + strconv.Itoa(n)}
	_, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, ns.Start(cmd))
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "ready\n" {
		t.Fatalf("a process with sockets: %q, %v", line, err)
	}
	return uint32(cmd.Process.Pid)
}

// TestHostileQuestion asks fd_walk for windows that begin anywhere, which no
// reader of ours does: nothing is read behind the end of a table. The memory
// there is that of other tables of the same size.
func TestHostileQuestion(t *testing.T) {
	testenv.NeedKernel(t, 6, 2, "bpf_rdonly_cast")
	ns := testenv.NewNetNS(t)
	const processes, sockets = 40, 110
	real := make(map[uint32]map[string]bool)
	for range processes {
		pid := startSockets(t, ns, sockets)
		real[pid] = descriptorsOf(t, pid)
	}
	s := open(t, Options{})
	tried, wrong, met := 0, 0, 0
	for start := uint32(0); start < 192; start++ {
		for _, flags := range []uint8{askV4 | askV6, askV4 | askV6 | askTCPInfo} {
			tried++
			ask := newQuestion(asking(source.Query{}))
			ask.flags = flags
			apply := func(b []byte) error {
				r := records{rest: b}
				for r.next() {
					if r.kind != recordSocket {
						continue
					}
					rec := as[socketRecord](r.body)
					fds, ok := real[rec.pid]
					if !ok {
						continue
					}
					if met++; !fds[strconv.Itoa(int(rec.fd))] {
						wrong++
						t.Errorf("from %d on: process %d has no descriptor %d, shown with port %d", start, rec.pid, rec.fd, rec.lport)
					}
				}
				return r.err
			}
			must(t, s.readRuns(context.Background(), []run{s.run(fdWalk, s.fdWalk, ask.from(start), apply)}))
		}
	}
	if met == 0 {
		t.Error("no socket of the processes was met")
	}
	testenv.Tried(t, tried, wrong)
}

// descriptorsOf returns the descriptors of a process.
func descriptorsOf(t *testing.T, pid uint32) map[string]bool {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	must(t, err)
	fds := make(map[string]bool)
	for _, e := range entries {
		fds[e.Name()] = true
	}
	return fds
}

// TestHostileNames asks every program by names that no reader of ours has: each
// run ends, and what it gives are whole records.
func TestHostileNames(t *testing.T) {
	s := open(t, Options{})
	must(t, s.needTaskFile())
	programs := map[programKind]opener{taskFile: s.taskFile}
	if s.fdWalk != nil {
		programs[fdWalk] = s.fdWalk
	}
	if s.hashWalk != nil {
		programs[hashWalk] = s.hashWalk
	}
	tried, wrong := 0, 0
	for _, name := range []string{
		"", "who", "who:", "own:", "who:ooooooooooo", "who:00000000000", "own:" + strings.Repeat("\xaf", 11), "own:" + strings.Repeat("\xff", 11),
		"own:" + strings.Repeat("0", 11), "who:" + strings.Repeat("\xff", 11), "who:oo000o@oooo", "who:0P000o@0000", "who:00oooo`0000", "who:ooooo3@0000",
	} {
		for program, it := range programs {
			tried++
			if err := readNamed(s, program, it, name); err != nil {
				wrong++
				t.Errorf("%s by the name %q: %v", program, name, err)
			}
		}
	}
	testenv.Tried(t, tried, wrong)
}

// readNamed reads a run on a thread of that name.
func readNamed(s *Source, program programKind, it opener, name string) error {
	var thread [16]byte
	copy(thread[:15], name)
	return onNamedThread(thread, func() error {
		fd, err := it.Open()
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		r := s.run(program, it, question{flags: askResume}, func(b []byte) error {
			r := records{rest: b}
			for r.next() {
			}
			return r.err
		})
		return drain(context.Background(), fd, r, s.buffer(0))
	})
}
