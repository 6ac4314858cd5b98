package testenv

import (
	"fmt"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Start starts a command that ends with the test's process, however that ends,
// and at the latest with the test: the kernel kills it. What it starts itself
// is its own to end, and one that changes its user is forgotten by the kernel.
func Start(t testing.TB, cmd *exec.Cmd) error {
	t.Helper()
	return startOn(t, cmd, func() error { return nil })
}

// Start is the function of that name, in the namespace.
func (n *NetNS) Start(cmd *exec.Cmd) error {
	n.t.Helper()
	return startOn(n.t, cmd, n.enter)
}

// startOn starts a command on a thread of its own. The kernel takes the end of
// that thread for the end of the parent, so it stays until the test ends.
func startOn(t testing.TB, cmd *exec.Cmd, enter func() error) error {
	attr := syscall.SysProcAttr{}
	if cmd.SysProcAttr != nil {
		attr = *cmd.SysProcAttr
	}
	attr.Pdeathsig = unix.SIGKILL
	cmd.SysProcAttr = &attr
	started, over := make(chan error, 1), make(chan struct{})
	t.Cleanup(func() { close(over) })
	go OnThread(func() error {
		err := enter()
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

// enter takes the calling thread into the namespace.
func (n *NetNS) enter() error {
	if err := unix.Setns(n.FD(), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter network namespace %d: %w", n.inode, err)
	}
	return nil
}
