package bpfevent

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose/internal/source"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// TestPIDNamespace has a process in a pid namespace of its own watch: it knows
// itself by its number there, and its parent by none.
func TestPIDNamespace(t *testing.T) {
	ns := testenv.NewNetNS(t)
	testenv.NeedRoot(t)
	testenv.NeedCap(t, unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_NET_ADMIN, unix.CAP_SYS_ADMIN)
	ns.Do(func() {
		l := listen(t, loopbacks["IPv4"])
		cmd := actor(t, "inside", fmt.Sprintf("%d %d", ns.Inode(), l.name().Port()))
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID, Pdeathsig: unix.SIGKILL}
		in, err := cmd.StdinPipe()
		must(t, "make pipe", err)
		out, err := cmd.StdoutPipe()
		must(t, "make pipe", err)
		must(t, "start", cmd.Start())
		line, err := bufio.NewReader(out).ReadString('\n')
		if line == "open\n" {
			_, err = fmt.Fprintln(in, connect(t, l.name()).name().Port())
		}
		if err = errors.Join(err, in.Close(), cmd.Wait()); err != nil {
			t.Error(line, err)
		}
	})
}

// watchInside opens a source for a network namespace, connects to a port, reads
// the local port of another's connection, and looks at who made which.
func watchInside(arg string) error {
	var netns uint32
	var port, other int
	if _, err := fmt.Sscan(arg, &netns, &port); err != nil {
		return err
	}
	source, err := Open(Config{Query: asking(source.Query{NetNS: []uint32{netns}})})
	if err != nil {
		return err
	}
	defer source.Close()
	fmt.Println("open")
	if _, err := fmt.Scan(&other); err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	own, others := 0, 0
	err = source.Read(ctx, func(r *Record) error {
		switch {
		case r.Kind == ProcessSeen && r.Task.PID != 0:
			if r.Task.PID != uint32(os.Getpid()) || r.Task.Parent != 0 {
				return fmt.Errorf("process %d of %d seen, want %d of 0", r.Task.PID, r.Task.Parent, os.Getpid())
			}
		case r.Kind != TCPOpen || !r.Out:
		case r.LocalPort == uint16(other):
			others++
			if r.Task.PID != 0 {
				return fmt.Errorf("a process that is not visible is %d", r.Task.PID)
			}
		default:
			own++
			if r.Task.PID != uint32(os.Getpid()) {
				return fmt.Errorf("own connection is of %d, want %d", r.Task.PID, os.Getpid())
			}
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		return err
	}
	if own != 1 || others != 1 {
		return fmt.Errorf("%d own and %d other connections, want one of each", own, others)
	}
	return nil
}
