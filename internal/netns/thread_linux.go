package netns

import (
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// A Thread is a thread of the operating system made by [OnThread]. Use it only
// on this thread and as long as the function runs.
type Thread struct{ id int }

// OnThread runs fn on a thread of its own and returns fn's error. The thread
// ends with fn, whatever fn did to it. It is never the main thread: this one
// cannot be thrown away, and the kernel takes its namespace for the process's.
func OnThread(fn func(*Thread) error) error {
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
		err := errors.New("the function ended its goroutine")
		defer func() { done <- err }() // also if fn ends the goroutine
		err = fn(&Thread{id: unix.Gettid()})
	}()
	return <-done
}

// Enter moves the thread into the namespace of this number by a file. It returns
// the errors of [Open]. It needs CAP_SYS_ADMIN in the owning user namespace of
// the network namespace, and in its own.
func (t *Thread) Enter(path string, inode uint32) error {
	f, err := Open(path, inode)
	if err != nil {
		return err
	}
	defer f.Close()
	return t.EnterFile(f)
}

// EnterFile moves the thread into an open namespace, with the same privilege. It
// panics on any other thread: such a one could never be given back.
func (t *Thread) EnterFile(f *File) error {
	if unix.Gettid() != t.id {
		panic("netns: entering a namespace outside of OnThread")
	}
	// The kernel checks once more that it is a network namespace.
	if err := unix.Setns(f.fd, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter network namespace: %w", err)
	}
	return nil
}
