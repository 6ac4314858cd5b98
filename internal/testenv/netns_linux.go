package testenv

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose/internal/netns"
)

// A NetNS is a network namespace of a test, held by a descriptor and by
// nothing else. It goes when the test ends and nobody else holds it.
type NetNS struct {
	t    testing.TB
	file *netns.File
}

// NewNetNS makes a fresh network namespace with its loopback device up. It
// needs CAP_SYS_ADMIN, which the test ends without.
func NewNetNS(t testing.TB) *NetNS {
	t.Helper()
	NeedCap(t, unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN)
	ns := &NetNS{t: t}
	err := OnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("unshare network namespace: %w", err)
		}
		if err := loopbackUp(); err != nil {
			return err
		}
		var err error
		ns.file, err = netns.OpenSelf()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ns.Close)
	return ns
}

// Inode returns the namespace's number, as in "net:[4026531840]".
func (n *NetNS) Inode() uint32 { return n.file.Inode }

// FD returns the descriptor that holds the namespace. It stays the NetNS's.
func (n *NetNS) FD() int { return n.file.FD() }

// Path returns a file of this process by which the namespace can be entered.
func (n *NetNS) Path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.FD()) }

// Close gives the descriptor back, so that the namespace is held only by
// others, if at all. It may be called more than once; the end of the test
// does it too.
func (n *NetNS) Close() { _ = n.file.Close() } // closing a second time is harmless

// Do runs fn on a throw-away thread inside the namespace and waits for it.
// What fn opens stays in the namespace, and so do processes that it runs; one
// that is to go on after fn is started by Start. fn must not end the test
// (t.Fatal): it runs on another goroutine.
func (n *NetNS) Do(fn func()) {
	n.t.Helper()
	err := netns.OnThread(func(thread *netns.Thread) error {
		if err := thread.EnterFile(n.file); err != nil {
			return err
		}
		fn()
		return nil
	})
	if err != nil {
		n.t.Fatal(err)
	}
}

// OnThread runs fn on a throw-away thread, for a test that changes it: see
// [netns.OnThread].
func OnThread(fn func() error) error {
	return netns.OnThread(func(*netns.Thread) error { return fn() })
}

// loopbackUp sets the loopback device of the thread's namespace up.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open socket to set lo up: %w", err)
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr); err != nil {
		return fmt.Errorf("set lo up: %w", err)
	}
	return nil
}
