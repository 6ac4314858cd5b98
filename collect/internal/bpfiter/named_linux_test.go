package bpfiter

import (
	"os"
	"os/exec"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/source"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// TestRead_Named asks for the sockets of this process by a test on processes, and
// counts what is read: the sockets of others are not, unless they listen, and who else
// has one of its own is found.
func TestRead_Named(t *testing.T) {
	testenv.NeedKernel(t, 6, 2, "bpf_rdonly_cast")
	ns := testenv.NewNetNS(t)
	const mine, bound = 50, 110
	other := startSockets(t, ns, bound)
	connect(t, ns, &unix.SockaddrInet4{Port: 5001, Addr: [4]byte{127, 0, 0, 1}}, mine)
	shared := socket(t, ns, unix.AF_INET, unix.SOCK_DGRAM, 0)
	must(t, unix.Connect(shared, &unix.SockaddrInet4{Port: 5001, Addr: [4]byte{127, 0, 0, 1}}))
	heir := startHeir(t, shared)
	idle := make(map[uint32]bool)
	startIdle(t, idle, 3)

	asked := make(map[uint32]string)
	me := func(pid uint32, comm string) bool {
		asked[pid] = comm
		return pid == uint32(os.Getpid())
	}
	established := whose.SetOf(whose.Established)
	for name, s := range map[string]*Source{"loaded": open(t, Options{}), "pinned": openPinnedHere(t)} {
		for _, c := range []struct {
			name              string
			q                 source.Query
			sockets, holdings int
		}{
			{"connections", source.Query{Process: me, States: established}, mine + 1, mine + 2},
			{"and listeners", source.Query{Process: me}, mine + 1 + bound, mine + 2 + bound},
			{"and other ends, of which there are none", source.Query{Process: me, States: established, Peers: true}, mine + 1, mine + 2},
			{"of nobody", source.Query{Process: func(uint32, string) bool { return false }}, 0, 0},
		} {
			clear(asked)
			snap := read(t, s, inNetNS(ns, c.q))
			if len(snap.Sockets) != c.sockets || len(snap.Holdings) != c.holdings {
				t.Errorf("%s, %s: %d sockets with %d holdings, want %d with %d",
					name, c.name, len(snap.Sockets), len(snap.Holdings), c.sockets, c.holdings)
			}
			if c.sockets == 0 {
				continue
			}
			if snap.Processes != 1 {
				t.Errorf("%s, %s: %d processes were looked into, want 1", name, c.name, snap.Processes)
			}
			for pid := range idle {
				if comm, ok := asked[pid]; ok {
					t.Errorf("%s, %s: process %d without a socket is named %q", name, c.name, pid, comm)
				}
			}
			named := []uint32{uint32(os.Getpid()), heir}
			if c.q.States == 0 {
				named = append(named, other) // its sockets are bound
			}
			for _, pid := range named {
				if want := commOf(t, pid); asked[pid] != want {
					t.Errorf("%s, %s: process %d is named %q, want %q", name, c.name, pid, asked[pid], want)
				}
			}
		}
	}
}

// startHeir starts a process that has a descriptor of the socket too.
func startHeir(t *testing.T, fd int) uint32 {
	t.Helper()
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	must(t, err)
	file := os.NewFile(uintptr(dup), "socket")
	defer file.Close()
	cmd := exec.Command("sleep", "3600")
	cmd.ExtraFiles = []*os.File{file}
	must(t, testenv.Start(t, cmd))
	return uint32(cmd.Process.Pid)
}

func commOf(t *testing.T, pid uint32) string {
	t.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(int(pid)) + "/comm")
	must(t, err)
	return string(b[:len(b)-1])
}
