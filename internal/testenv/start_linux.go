package testenv

import (
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose/internal/netns"
)

// Start starts a command that ends with the test's process, however that ends,
// and at the latest with the test: the kernel kills it. What it starts itself
// is its own to end, and one that changes its user is forgotten by the kernel.
func Start(t testing.TB, cmd *exec.Cmd) error {
	t.Helper()
	return startOn(t, cmd, func(*netns.Thread) error { return nil })
}

// Start is the function of that name, in the namespace.
func (n *NetNS) Start(cmd *exec.Cmd) error {
	n.t.Helper()
	return startOn(n.t, cmd, func(thread *netns.Thread) error { return thread.EnterFile(n.file) })
}

// startOn starts a command on a thread of its own. The kernel takes the end of
// that thread for the end of the parent, so it stays until the test ends.
func startOn(t testing.TB, cmd *exec.Cmd, enter func(*netns.Thread) error) error {
	attr := syscall.SysProcAttr{}
	if cmd.SysProcAttr != nil {
		attr = *cmd.SysProcAttr
	}
	attr.Pdeathsig = unix.SIGKILL
	cmd.SysProcAttr = &attr
	started, over := make(chan error, 1), make(chan struct{})
	t.Cleanup(func() { close(over) })
	go netns.OnThread(func(thread *netns.Thread) error {
		err := enter(thread)
		if err == nil {
			err = cmd.Start()
		}
		started <- err
		if err == nil {
			<-over
		}
		return nil
	})
	return <-started
}
