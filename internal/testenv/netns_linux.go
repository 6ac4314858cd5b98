package testenv

import (
	"fmt"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// A NetNS is a network namespace of a test, held by a descriptor and by
// nothing else. It goes when the test ends and nobody else holds it.
type NetNS struct {
	t     testing.TB
	file  *os.File
	inode uint32
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
		ns.file, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	var stat unix.Stat_t
	if err := unix.Fstat(int(ns.file.Fd()), &stat); err != nil {
		t.Fatalf("stat network namespace: %v", err)
	}
	ns.inode = uint32(stat.Ino)
	return ns
}

// Inode returns the namespace's number, as in "net:[4026531840]".
func (n *NetNS) Inode() uint32 { return n.inode }

// FD returns the descriptor that holds the namespace. It stays the NetNS's.
func (n *NetNS) FD() int { return int(n.file.Fd()) }

// Path returns a file of this process by which the namespace can be entered.
func (n *NetNS) Path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.FD()) }

// Close gives the descriptor back, so that the namespace is held only by
// others, if at all. It may be called more than once; the end of the test
// does it too.
func (n *NetNS) Close() {
	n.file.Close() // closing a second time is harmless
}

// Do runs fn on a throw-away thread inside the namespace and waits for it.
// What fn opens stays in the namespace, and so do processes that it runs; one
// that is to go on after fn is started by Start. fn must not end the test
// (t.Fatal): it runs on another goroutine.
func (n *NetNS) Do(fn func()) {
	n.t.Helper()
	err := OnThread(func() error {
		if err := n.enter(); err != nil {
			return err
		}
		fn()
		return nil
	})
	if err != nil {
		n.t.Fatal(err)
	}
}

// OnThread runs fn on a thread of its own that is thrown away afterwards,
// whatever fn did to it, and returns fn's error. It is never the main thread,
// which the kernel takes for the process in /proc/PID/ns and which cannot be
// thrown away.
func OnThread(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		// No UnlockOSThread: the thread ends with the goroutine.
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			// While this goroutine sits on the main thread, another cannot.
			done <- OnThread(fn)
			runtime.UnlockOSThread()
			return
		}
		var err error
		defer func() { done <- err }() // also where fn ends the goroutine
		err = fmt.Errorf("the function ended its goroutine")
		err = fn()
	}()
	return <-done
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
