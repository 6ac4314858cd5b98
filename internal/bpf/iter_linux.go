//lint:file-ignore U1000 structs of the kernel have fields that nothing here sets

package bpf

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// The commands of bpf(2) for iterators, which package ebpf does not offer in the
// form needed here: links to one process, and iterators as plain descriptors.

// linkCreateAttr is the part of union bpf_attr for BPF_LINK_CREATE.
type linkCreateAttr struct {
	progFD, _     uint32 // and target_fd
	attachType, _ uint32 // and flags
	info          unsafe.Pointer
	infoLen, _    uint32
}

// iterCreateAttr is the part of union bpf_attr for BPF_ITER_CREATE.
type iterCreateAttr struct{ linkFD, _ uint32 }

// objPinAttr is the part of union bpf_attr for BPF_OBJ_PIN.
type objPinAttr struct {
	path      unsafe.Pointer
	fd, flags uint32
	pathFD, _ uint32
}

// An Iter is an iterator attached by this process: the descriptor of its link.
// Whoever attached it closes it. It is safe for concurrent use.
type Iter int

// AttachIter attaches the program of an iterator. info is union
// bpf_iter_link_info: nothing, the map to visit, or the process. An error wraps
// the kernel's: unix.E2BIG or unix.EINVAL for a kind of info unknown to it.
func AttachIter(prog *ebpf.Program, info []uint32) (Iter, error) {
	attr := linkCreateAttr{progFD: uint32(prog.FD()), attachType: unix.BPF_TRACE_ITER}
	if len(info) > 0 {
		attr.info, attr.infoLen = unsafe.Pointer(unsafe.SliceData(info)), uint32(len(info)*4)
	}
	fd, err := call(unix.BPF_LINK_CREATE, &attr)
	runtime.KeepAlive(info)
	runtime.KeepAlive(prog)
	if err != nil {
		return -1, fmt.Errorf("attach iterator: %w", err)
	}
	return Iter(fd), nil
}

// Open returns a descriptor from which one run of the iterator is read. The
// caller closes it.
func (i Iter) Open() (int, error) {
	fd, err := call(unix.BPF_ITER_CREATE, &iterCreateAttr{linkFD: uint32(i)})
	if err != nil {
		return -1, fmt.Errorf("create iterator: %w", err)
	}
	return fd, nil
}

// PinAt makes the iterator a file of that name in a directory of a bpffs, of which
// dir is a descriptor. The file keeps it when the process is gone. Nobody but its
// owner may read it at first. Before Linux 6.5 it takes /proc.
func (i Iter) PinAt(dir int, name string) error {
	err := i.pin(&objPinAttr{flags: unix.BPF_F_PATH_FD, pathFD: uint32(dir)}, name)
	if errors.Is(err, unix.EINVAL) { // unknown to this kernel
		err = i.pin(&objPinAttr{}, fmt.Sprintf("/proc/self/fd/%d/%s", dir, name))
	}
	if err != nil {
		return fmt.Errorf("pin iterator as %s: %w", name, err)
	}
	return nil
}

func (i Iter) pin(attr *objPinAttr, path string) error {
	p, err := unix.BytePtrFromString(path)
	if err != nil {
		return err
	}
	attr.path, attr.fd = unsafe.Pointer(p), uint32(i)
	_, err = call(unix.BPF_OBJ_PIN, attr)
	runtime.KeepAlive(p)
	return err
}

// Close detaches the iterator. A pin of it stays.
func (i Iter) Close() error {
	if err := unix.Close(int(i)); err != nil {
		return fmt.Errorf("close iterator: %w", err)
	}
	return nil
}
