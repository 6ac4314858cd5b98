package bpfiter

import (
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/source"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// TestRead_Churn opens and closes without end and looks at what stands.
func TestRead_Churn(t *testing.T) {
	ns := testenv.NewNetNS(t)
	s := open(t, Options{})
	l, addr := listen(t, ns)
	standing := []int{l}
	for range 50 {
		c := socket(t, ns, unix.AF_INET, unix.SOCK_STREAM, 0)
		must(t, unix.Connect(c, addr))
		standing = append(standing, c)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() { churn(ns, stop) })
	}
	defer wg.Wait()
	defer close(stop)
	for range 200 {
		snap := read(t, s, inNetNS(ns, source.Query{States: whose.DefaultStates}))
		for _, fd := range standing {
			ino := inodeOf(t, fd)
			if len(find(snap, ino)) != 1 || len(holders(snap, ino)) != 1 {
				t.Fatalf("inode %d: sockets %+v held by %+v", ino, find(snap, ino), holders(snap, ino))
			}
		}
		if n := len(find(snap, 0)); n < 50 {
			t.Fatalf("%d connections wait to be accepted, want 50 and more", n)
		}
	}
}

// churn makes connections and drops them until it is stopped.
func churn(ns namespace, stop chan struct{}) {
	ns.Do(func() {
		l, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return
		}
		defer unix.Close(l)
		if unix.Bind(l, loopback()) != nil || unix.Listen(l, 16) != nil {
			return
		}
		addr, err := unix.Getsockname(l)
		for err == nil {
			select {
			case <-stop:
				return
			default:
			}
			var c, a int
			if c, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
				return
			}
			unix.SetsockoptLinger(c, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
			if unix.Connect(c, addr) == nil {
				if a, _, err = unix.Accept4(l, unix.SOCK_CLOEXEC); err == nil {
					unix.Close(a)
				}
			}
			unix.Close(c)
		}
	})
}
