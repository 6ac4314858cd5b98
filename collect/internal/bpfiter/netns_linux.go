package bpfiter

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// How a thread gets into another network namespace, for iterators that show
// that of the thread which opens them.

var (
	// errGone: the way into a namespace does not lead there any more.
	errGone  = errors.New("gone before it could be entered")
	errNoWay = errors.New("no way in is known")
)

// onLostThread calls f on a thread that is thrown away afterwards: one that may
// not come back must not go on running other goroutines. It is never the
// process's first thread, which cannot be thrown away.
func onLostThread(f func() error) error {
	done := make(chan error)
	go func() {
		// No UnlockOSThread: the thread ends with the goroutine.
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			// While this goroutine sits on the first thread, another cannot.
			err := onLostThread(f)
			runtime.UnlockOSThread()
			done <- err
			return
		}
		done <- f()
	}()
	return <-done
}

// ownNetNS returns the number of the calling thread's namespace, 0 without procfs.
func ownNetNS() uint32 {
	var st unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &st); err != nil {
		return 0
	}
	return uint32(st.Ino)
}

// enterNetNS moves the calling thread into a namespace.
func enterNetNS(ref *source.NetNSRef) error {
	path := ref.Path
	if path == "" && ref.TID != 0 {
		path = "/proc/" + strconv.FormatUint(uint64(ref.TID), 10) + "/ns/net"
	}
	if path == "" {
		return errNoWay
	}
	// To open a device or a pipe does something, so it is looked at first.
	look, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT || err == unix.ESRCH {
		return errGone
	}
	if err != nil {
		return err
	}
	defer unix.Close(look)
	if err := isNetNS(look, ref.Inode); err != nil {
		return err
	}
	fd, err := unix.Open("/proc/thread-self/fd/"+strconv.Itoa(look), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Setns(fd, unix.CLONE_NEWNET)
}

// nsfsMagic is the type of the file system that namespaces are files of.
const nsfsMagic = 0x6e736673

// isNetNS returns errGone where the file is not the namespace of that number: a
// process id or a descriptor may have been given to another meanwhile.
func isNetNS(fd int, inode uint32) error {
	var st unix.Stat_t
	var fs unix.Statfs_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return err
	}
	if int64(fs.Type) != nsfsMagic || uint32(st.Ino) != inode {
		return errGone
	}
	return nil
}

// enterBy moves the calling thread into the namespace that a descriptor of a
// process leads into: it is the namespace, or a socket that was opened there.
func enterBy(inode uint32, w way) error {
	fd, err := borrow(w)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := isNetNS(fd, inode); err == nil {
		return unix.Setns(fd, unix.CLONE_NEWNET)
	}
	ns, err := unix.IoctlRetInt(fd, unix.SIOCGSKNS)
	if err == unix.ENOTTY || err == unix.ENOTSOCK {
		return errGone // neither
	}
	if err != nil {
		return err
	}
	defer unix.Close(ns)
	if err := isNetNS(ns, inode); err != nil {
		return err
	}
	return unix.Setns(ns, unix.CLONE_NEWNET)
}

// borrow returns a descriptor of what a process has open.
func borrow(w way) (int, error) {
	p, err := unix.PidfdOpen(int(w.pid), 0)
	if err == unix.ESRCH {
		return -1, errGone
	}
	if err != nil {
		return -1, fmt.Errorf("open process: %w", err)
	}
	defer unix.Close(p)
	fd, err := unix.PidfdGetfd(p, int(w.fd), 0)
	if err == unix.ESRCH || err == unix.EBADF {
		return -1, errGone
	}
	return fd, err
}

// netnsGap says why a namespace could not be looked into.
func netnsGap(err error) whose.Gap {
	g := whose.Gap{Kind: whose.GapNamespaces, Count: 1, Why: err.Error()}
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		g.Why = "permission denied"
		g.Hint = "run as root, or with CAP_SYS_ADMIN and CAP_SYS_PTRACE too"
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		g.Why = "too many open files"
		g.Hint = "raise the limit of open files (ulimit -n)"
	}
	return g
}

// noteRefused says that a namespace could not be entered. What is gone is no gap.
func (p *pass) noteRefused(err error) {
	if errors.Is(err, errGone) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	addGap(p.snap, netnsGap(err))
}
