package netns

import (
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// A Thread is a thread of the operating system that [OnThread] made. It is of
// use only on that thread and as long as the function runs.
type Thread struct{ id int }

// OnThread runs fn on a thread of its own and returns fn's error. The thread
// ends with fn, whatever fn did to it. It is never the main thread, which
// cannot be thrown away and whose namespace the kernel takes for the process's.
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
		defer func() { done <- err }() // also where fn ends the goroutine
		err = fn(&Thread{id: unix.Gettid()})
	}()
	return <-done
}

// Enter moves the thread into the namespace of that number, by a file that
// leads to it: see [Open], whose errors it returns. It needs CAP_SYS_ADMIN in
// the user namespace that owns the namespace and in its own.
func (t *Thread) Enter(path string, inode uint32) error {
	f, err := Open(path, inode)
	if err != nil {
		return err
	}
	defer f.Close()
	return t.EnterFile(f)
}

// EnterFile moves the thread into an open namespace, with the same privilege.
// It panics on any other thread, which could never be given back.
func (t *Thread) EnterFile(f *File) error {
	if unix.Gettid() != t.id {
		panic("netns: entering a namespace outside of OnThread")
	}
	if err := unix.Setns(f.fd, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter network namespace: %w", err)
	}
	return nil
}
