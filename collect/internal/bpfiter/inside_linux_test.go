package bpfiter

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/netns"
	"github.com/seed-44df2ae6/whose/internal/source"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// bareEnv makes a child of the tests a process without descriptors.
const bareEnv = "WHOSE_TEST_NO_DESCRIPTORS"

// stayBare closes all descriptors and waits for its end.
func stayBare() {
	unix.CloseRange(0, 1<<32-1, 0)
	unix.Pause()
}

// startBare starts a process without any descriptor.
func startBare(t *testing.T, ns *testenv.NetNS) uint32 {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{bareEnv + "=1"}
	must(t, ns.Start(cmd))
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	pid := uint32(cmd.Process.Pid)
	for until := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		left := descriptorsOf(t, pid)
		if len(left) == 0 {
			return pid
		}
		if time.Now().After(until) {
			t.Fatalf("process %d has still descriptors %v", pid, left)
		}
	}
}

// TestRead_Inside wants the lowest process of each namespace: of main threads first,
// then of other threads, with descriptors or without.
func TestRead_Inside(t *testing.T) {
	testenv.NeedKernel(t, 6, 2, "bpf_rdonly_cast")
	s := open(t, Options{})
	want := make(map[uint32]uint32)
	two, bare, threads := testenv.NewNetNS(t), testenv.NewNetNS(t), testenv.NewNetNS(t)
	a, b := startSockets(t, two, 2), startSockets(t, two, 1)
	want[two.Inode()] = min(a, b)
	want[bare.Inode()] = startBare(t, bare)
	tids, stop := make(chan int), make(chan struct{})
	t.Cleanup(func() { close(stop) })
	for range 2 {
		go threads.Do(func() { tids <- unix.Gettid(); <-stop })
	}
	want[threads.Inode()] = uint32(min(<-tids, <-tids))
	check := func(name string, q source.Query, want map[uint32]uint32) {
		t.Helper()
		snap := read(t, s, asking(q))
		for ns, pid := range want {
			if got := snap.Inside[ns]; got != pid {
				t.Errorf("%s: in namespace %d is %d, want %d", name, ns, got, pid)
			}
		}
		if len(want) == 0 && len(snap.Inside) != 0 {
			t.Errorf("%s: %v, want that nobody looked", name, snap.Inside)
		}
	}
	check("all processes", source.Query{}, want)
	check("one in another namespace", source.Query{PIDs: []uint32{max(a, b)}, Needs: whose.NeedNetNSName}, want)
	check("one whose namespace is not named", source.Query{PIDs: []uint32{max(a, b)}}, nil)
	own, err := netns.Self()
	must(t, err)
	check("one in our own namespace", source.Query{PIDs: []uint32{uint32(os.Getpid())}, NetNS: []uint32{own}, Needs: whose.NeedNetNSName}, nil)
}
