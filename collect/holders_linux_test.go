package collect_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// leave leaves one connection in TIME_WAIT in the namespace and nothing else.
func leave(t *testing.T, ns *testenv.NetNS) {
	t.Helper()
	open := func() (fd int) {
		var err error
		ns.Do(func() { fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0) })
		must(t, err)
		return fd
	}
	l, c := open(), open()
	must(t, unix.Bind(l, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	must(t, unix.Listen(l, 1))
	addr, err := unix.Getsockname(l)
	must(t, err)
	must(t, unix.Connect(c, addr))
	a, _, err := unix.Accept4(l, unix.SOCK_CLOEXEC)
	must(t, err)
	must(t, unix.Shutdown(c, unix.SHUT_WR))
	_, err = unix.Read(a, make([]byte, 1)) // the end of the stream: FIN came
	must(t, err)
	must(t, unix.Close(a))
	_, err = unix.Read(c, make([]byte, 1))
	must(t, err)
	must(t, unix.Close(c))
	must(t, unix.Close(l))
}

// TestBeforeWalk_Ways finds what nobody holds in namespaces in which no process
// is, by a descriptor that leads there: of the namespace, or of any socket.
func TestBeforeWalk_Ways(t *testing.T) {
	c := beforeWalk(t)
	for name, kind := range map[string][3]int{
		"the namespace": {}, "a UNIX socket": {unix.AF_UNIX, unix.SOCK_DGRAM, 0}, "a netlink socket": {unix.AF_NETLINK, unix.SOCK_RAW, 0},
	} {
		t.Run(name, func(t *testing.T) {
			ns := testenv.NewNetNS(t)
			leave(t, ns)
			inode := ns.Inode()
			if kind[0] != 0 {
				var fd int
				var err error
				ns.Do(func() { fd, err = unix.Socket(kind[0], kind[1]|unix.SOCK_CLOEXEC, kind[2]) })
				must(t, err)
				defer unix.Close(fd)
				ns.Close()
			}
			n := 0
			sessions, cov := gatherAll(t, c, collect.Options{Source: collect.BPF, States: whose.SetOf(whose.TimeWait)})
			for _, s := range sessions {
				if s.NetNS == inode {
					n++
				}
			}
			if n != 1 {
				t.Errorf("%d sessions in TIME_WAIT, want 1; gaps %v", n, cov.Gaps)
			}
		})
	}
}

// TestBeforeWalk_Pinned reads through a pin as it is before Linux 5.19. Whoever
// may read it gets the sessions of processes in all namespaces, all those of his
// own namespace, and a gap for the rest.
func TestBeforeWalk_Pinned(t *testing.T) {
	dir := pin(t, collect.PinOptions{GID: someGroup, Traverse: true})
	reachable(t, filepath.Dir(dir))
	files, err := os.ReadDir(dir)
	must(t, err)
	for _, f := range files {
		if !strings.HasPrefix(f.Name(), "task_file") {
			must(t, os.Remove(filepath.Join(dir, f.Name())))
		}
	}
	here, there := testenv.NewNetNS(t), testenv.NewNetNS(t)
	const own, others, queue = 4, 6, 2
	send(t, here, nil, errand{Hold: own, Queue: queue})
	send(t, there, nil, errand{Hold: others, Queue: queue})
	said := send(t, here, asNobody(someGroup), errand{Asks: []ask{
		{PinDir: dir, States: whose.AllStates}, {PinDir: dir, States: whose.AllStates, Needs: whose.NeedCookie}}})
	for _, a := range said.Answers {
		if a.Err != "" || !a.Coverage.Pinned || a.Coverage.Source != collect.BPF {
			t.Fatalf("by %s, pinned %v, error %q", a.Coverage.Source, a.Coverage.Pinned, a.Err)
		}
		mine, foreign := a.within(here.Inode()), a.within(there.Inode())
		if want := held(own) + 4*queue; len(mine) != want {
			t.Errorf("%d sessions of the own namespace, want %d", len(mine), want)
		}
		if want := held(others) + 2*queue; len(foreign) != want {
			t.Errorf("%d sessions of another namespace, want the %d of processes", len(foreign), want)
		}
		for _, row := range foreign {
			if a.Coverage.OwnersAsked && !strings.Contains(row, " owner pid=") {
				t.Errorf("no owner: %s", row)
			}
		}
		if a.gap(whose.GapNamespaces) == "" {
			t.Errorf("no gap of namespaces in %v", a.Coverage.Gaps)
		}
	}
}
