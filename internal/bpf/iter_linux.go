//lint:file-ignore U1000 structs of the kernel have fields that nothing here sets

package bpf

import (
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
	path  unsafe.Pointer
	fd, _ uint32 // and file_flags
	_, _  uint32 // path_fd
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

// Pin makes the iterator a file in a bpffs, which keeps it when the process is
// gone.
func (i Iter) Pin(path string) error {
	p, err := unix.BytePtrFromString(path)
	if err != nil {
		return fmt.Errorf("pin %q: %w", path, err)
	}
	_, err = call(unix.BPF_OBJ_PIN, &objPinAttr{path: unsafe.Pointer(p), fd: uint32(i)})
	runtime.KeepAlive(p)
	if err != nil {
		return fmt.Errorf("pin %s: %w", path, err)
	}
	return nil
}

// Close detaches the iterator. A pin of it stays.
func (i Iter) Close() error {
	if err := unix.Close(int(i)); err != nil {
		return fmt.Errorf("close iterator: %w", err)
	}
	return nil
}
