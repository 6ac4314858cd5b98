package netns_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose/internal/netns"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

func TestOnThread_NeverMain(t *testing.T) {
	for range 50 {
		err := netns.OnThread(func(*netns.Thread) error {
			if unix.Gettid() == unix.Getpid() {
				return fmt.Errorf("on the main thread")
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A function that ends its goroutine, as t.FailNow does, is an error and no
// deadlock.
func TestOnThread_Goexit(t *testing.T) {
	err := netns.OnThread(func(*netns.Thread) error { runtime.Goexit(); return nil })
	if err == nil {
		t.Error("no error")
	}
}

// The thread is in the namespace, the process is not, and nobody runs on that
// thread afterwards.
func TestThread_Enter(t *testing.T) {
	testenv.CheckLeaks(t)
	ns := testenv.NewNetNS(t)
	own, err := netns.Self()
	if err != nil {
		t.Fatal(err)
	}
	var inside uint32
	err = netns.OnThread(func(thread *netns.Thread) error {
		if err := thread.Enter(ns.Path(), ns.Inode()); err != nil {
			return err
		}
		var err error
		inside, err = netns.Self()
		return err
	})
	if err != nil || inside != ns.Inode() || inside == own {
		t.Errorf("inside it is namespace %d, want %d; error %v", inside, ns.Inode(), err)
	}
	for range 50 {
		if now, err := netns.Self(); err != nil || now != own {
			t.Fatalf("outside it is namespace %d, want %d; error %v", now, own, err)
		}
		runtime.Gosched()
	}
}

// A Thread is good for its own thread only.
func TestThread_EnterElsewhere(t *testing.T) {
	ns := testenv.NewNetNS(t)
	file, err := netns.Open(ns.Path(), ns.Inode())
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var kept *netns.Thread
	if err := netns.OnThread(func(thread *netns.Thread) error { kept = thread; return nil }); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if recover() == nil {
			t.Error("a namespace was entered on a thread that goes on")
		}
	}()
	_ = kept.EnterFile(file)
}

// What is no namespace any more, or never was, is gone, and is not opened.
func TestOpen_Gone(t *testing.T) {
	testenv.CheckLeaks(t)
	ns := testenv.NewNetNS(t)
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/proc/1/fd/nothing", "/dev/null", fifo, "/proc/self/ns/net", "/proc/self/ns/mnt", "/proc/2147483647/ns/net"} {
		if _, err := netns.Open(path, ns.Inode()); !errors.Is(err, netns.ErrGone) {
			t.Errorf("%s: got %v, want that it is gone", path, err)
		}
	}
	if _, err := netns.Open("", ns.Inode()); !errors.Is(err, netns.ErrNoWay) {
		t.Errorf("no path: got %v, want that no way is known", err)
	}
}

func TestFile_Close(t *testing.T) {
	own, err := netns.Self()
	if err != nil {
		t.Fatal(err)
	}
	file, err := netns.OpenSelf()
	if err != nil {
		t.Fatal(err)
	}
	if inode, err := netns.Inode(file.Path()); err != nil || inode != own || file.Inode != own {
		t.Errorf("%s is of namespace %d, want %d; error %v", file.Path(), inode, own, err)
	}
	if err := file.Close(); err != nil {
		t.Error(err)
	}
	if err := file.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("second close: %v", err)
	}
}

// A socket leads to the namespace in which it was opened, wherever it is used.
func TestOfSocket(t *testing.T) {
	testenv.CheckLeaks(t)
	ns := testenv.NewNetNS(t)
	socket := -1
	ns.Do(func() {
		var err error
		if socket, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
			t.Error(err)
		}
	})
	if socket < 0 {
		return
	}
	defer unix.Close(socket)
	file, err := netns.OfSocket(socket)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if file.Inode != ns.Inode() {
		t.Errorf("namespace %d, want %d", file.Inode, ns.Inode())
	}
	testenv.NeedKernel(t, 5, 14, "SO_NETNS_COOKIE")
	if cookie, err := netns.CookieOfSocket(socket); err != nil || cookie == 0 {
		t.Errorf("cookie %d, error %v", cookie, err)
	}
}

func TestProcess_Borrow(t *testing.T) {
	testenv.NeedKernel(t, 5, 6, "pidfd_getfd")
	testenv.CheckLeaks(t)
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	p, err := netns.OpenProcess(uint32(os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	fd := int32(file.Fd())
	borrowed, err := p.Borrow(fd)
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(borrowed, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR {
		t.Errorf("mode %o, error %v", st.Mode, err)
	}
	unix.Close(borrowed)
	file.Close()
	if _, err := p.Borrow(1 << 20); !errors.Is(err, netns.ErrGone) {
		t.Errorf("a descriptor that is not there: got %v", err)
	}
	if _, err := netns.OpenProcess(1 << 30); !errors.Is(err, netns.ErrGone) {
		t.Errorf("a process that is not there: got %v", err)
	}
}
