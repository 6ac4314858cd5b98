package procnet

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
)

// inNetNS runs fn in the namespace that the file at path names, on a thread
// that is thrown away afterwards. It returns errGone where there is no such
// file, or it names another namespace than inode by now. It needs
// CAP_SYS_ADMIN.
func inNetNS(path string, inode uint32, fn func() error) error {
	// Not blocking, and opened only if it is a namespace: it may be any file by now.
	var stat unix.Stat_t
	var fsStat unix.Statfs_t
	err := unix.Stat(path, &stat)
	if err == nil {
		err = unix.Statfs(path, &fsStat)
	}
	if err == nil && (fsStat.Type != unix.NSFS_MAGIC || uint32(stat.Ino) != inode) || errors.Is(err, fs.ErrNotExist) {
		return errGone
	}
	if err != nil {
		return fmt.Errorf("open network namespace %s: %w", path, err)
	}
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return errGone
	}
	if err != nil {
		return fmt.Errorf("open network namespace: %w", err)
	}
	defer file.Close()
	if err := unix.Fstat(int(file.Fd()), &stat); err != nil {
		return fmt.Errorf("stat network namespace %s: %w", path, err)
	}
	if uint32(stat.Ino) != inode {
		return errGone
	}
	return onThread(func() error {
		if err := unix.Setns(int(file.Fd()), unix.CLONE_NEWNET); err != nil {
			return whose.WithHint(fmt.Errorf("enter network namespace %d: %w", inode, err),
				"run as root, or with CAP_SYS_ADMIN")
		}
		return fn()
	})
}

// onThread runs fn on a thread that ends with it. That is never the main
// thread, which cannot end and whose namespace is taken for the process's.
func onThread(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if unix.Gettid() == unix.Getpid() {
			done <- onThread(fn) // while this goroutine sits on the main thread no other can
			runtime.UnlockOSThread()
			return
		}
		done <- fn()
	}()
	return <-done
}
