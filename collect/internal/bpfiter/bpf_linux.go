//lint:file-ignore U1000 structs of the kernel have fields that nothing here sets

package bpfiter

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The few commands of bpf(2) that package ebpf does not offer in the form
// needed here: links to one process, and iterators as plain descriptors.

// linkCreateAttr is the part of union bpf_attr for BPF_LINK_CREATE.
type linkCreateAttr struct {
	progFD, targetFD  uint32
	attachType, flags uint32
	info              unsafe.Pointer
	infoLen, _        uint32
}

// iterCreateAttr is the part of union bpf_attr for BPF_ITER_CREATE.
type iterCreateAttr struct{ linkFD, flags uint32 }

// objPinAttr is the part of union bpf_attr for BPF_OBJ_PIN.
type objPinAttr struct {
	path      unsafe.Pointer
	fd, flags uint32
	pathFD, _ uint32
}

func bpf[T any](cmd int, attr *T) (int, error) {
	fd, _, errno := unix.Syscall(unix.SYS_BPF, uintptr(cmd), uintptr(unsafe.Pointer(attr)), unsafe.Sizeof(*attr))
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}

// linkIter attaches an iterator program. info is union bpf_iter_link_info:
// nothing, the map to visit, or the process.
func linkIter(prog int, info []uint32) (int, error) {
	attr := linkCreateAttr{progFD: uint32(prog), attachType: unix.BPF_TRACE_ITER}
	if len(info) > 0 {
		attr.info, attr.infoLen = unsafe.Pointer(unsafe.SliceData(info)), uint32(len(info)*4)
	}
	fd, err := bpf(unix.BPF_LINK_CREATE, &attr)
	runtime.KeepAlive(info)
	if err != nil {
		return -1, fmt.Errorf("attach iterator: %w", err)
	}
	return fd, nil
}

// A linkedIter is the link of an iterator that this process attached.
type linkedIter int

func (l linkedIter) open() (int, error) {
	fd, err := bpf(unix.BPF_ITER_CREATE, &iterCreateAttr{linkFD: uint32(l)})
	if err != nil {
		return -1, fmt.Errorf("create iterator: %w", err)
	}
	return fd, nil
}

func (l linkedIter) pin(path string) error {
	p, err := unix.BytePtrFromString(path)
	if err != nil {
		return fmt.Errorf("pin %q: %w", path, err)
	}
	_, err = bpf(unix.BPF_OBJ_PIN, &objPinAttr{path: unsafe.Pointer(p), fd: uint32(l)})
	runtime.KeepAlive(p)
	if err != nil {
		return fmt.Errorf("pin %s: %w", path, err)
	}
	return nil
}
