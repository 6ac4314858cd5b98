package bpf

import (
	"fmt"
	"runtime"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// Package link of ebpf can do this too. It takes along probes of everything
// that a kernel may attach, and every start of a command pays for their tables.

// rawTracepointAttr is the part of union bpf_attr for BPF_RAW_TRACEPOINT_OPEN.
type rawTracepointAttr struct {
	_         uint64 // name
	progFD, _ uint32
}

// cgroupLinkAttr is the part of union bpf_attr for BPF_LINK_CREATE.
type cgroupLinkAttr struct{ progFD, targetFD, attachType, _ uint32 }

// A Link is a program attached by this process: the descriptor of its link.
// Whoever attached it closes it. It is safe for concurrent use.
type Link int

// AttachTracing attaches a program of type [ebpf.Tracing] to the target named
// in it: a tracepoint, or the entry or exit of a function. Its error wraps the
// kernel's.
func AttachTracing(prog *ebpf.Program) (Link, error) {
	fd, err := call(unix.BPF_RAW_TRACEPOINT_OPEN, &rawTracepointAttr{progFD: uint32(prog.FD())})
	runtime.KeepAlive(prog)
	if err != nil {
		return -1, fmt.Errorf("attach program: %w", err)
	}
	return Link(fd), nil
}

// AttachCgroup attaches a program to the cgroup open as dir, beside those of
// others. Its error wraps the kernel's. Since Linux 5.7.
func AttachCgroup(prog *ebpf.Program, dir int, at ebpf.AttachType) (Link, error) {
	fd, err := call(unix.BPF_LINK_CREATE, &cgroupLinkAttr{
		progFD: uint32(prog.FD()), targetFD: uint32(dir), attachType: uint32(at),
	})
	runtime.KeepAlive(prog)
	if err != nil {
		return -1, fmt.Errorf("attach program to cgroup: %w", err)
	}
	return Link(fd), nil
}

// Close detaches the program.
func (l Link) Close() error {
	if err := unix.Close(int(l)); err != nil {
		return fmt.Errorf("detach program: %w", err)
	}
	return nil
}
