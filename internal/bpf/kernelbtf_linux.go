package bpf

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// kernelBTFFile has the BTF of the running kernel.
	kernelBTFFile = "/sys/kernel/btf/vmlinux"
	// mostKernelBTF bounds its size, far above that of any kernel.
	mostKernelBTF = 256 << 20
)

// readKernelBTF returns the kernel's BTF, some five megabytes, and a function to
// release it. The file can be mapped since Linux 6.16. Before, it gives no more
// than a page at a time, so the kernel is asked for a copy. The error is
// [fs.ErrNotExist] if the kernel has none, or something else is in its place.
func readKernelBTF() (raw []byte, release func(), err error) {
	f, size, err := openKernelBTF()
	if err != nil {
		return nil, nil, err
	}
	defer unix.Close(f)
	raw, err = unix.Mmap(f, 0, size, unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_POPULATE)
	if err == nil {
		return raw, func() { unix.Munmap(raw) }, nil
	}
	if raw, release, err = copyKernelBTF(size); err == nil {
		return raw, release, nil
	}
	raw = make([]byte, size)
	if _, err := io.ReadFull(fileOf(f), raw); err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", kernelBTFFile, err)
	}
	return raw, func() {}, nil
}

// openKernelBTF opens the file without waiting: a pipe may be mounted over it.
func openKernelBTF() (fd, size int, err error) {
	fd, err = unix.Open(kernelBTFFile, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return -1, 0, &fs.PathError{Op: "open", Path: kernelBTFFile, Err: err}
	}
	var st unix.Stat_t
	err = unix.Fstat(fd, &st)
	if err == nil && (st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size == 0 || st.Size > mostKernelBTF) {
		err = fmt.Errorf("something else is mounted there: %w", fs.ErrNotExist)
	}
	if err != nil {
		unix.Close(fd)
		return -1, 0, &fs.PathError{Op: "open", Path: kernelBTFFile, Err: err}
	}
	return fd, int(st.Size), nil
}

// A fileOf reads from a descriptor.
type fileOf int

func (f fileOf) Read(p []byte) (int, error) {
	n, err := unix.Read(int(f), p)
	if n == 0 && err == nil {
		err = io.EOF
	}
	return max(n, 0), err
}

// The used parts of union bpf_attr for BPF_BTF_GET_NEXT_ID,
// BPF_BTF_GET_FD_BY_ID and BPF_OBJ_GET_INFO_BY_FD, and struct bpf_btf_info.
type (
	nextIDAttr struct{ _, nextID, _ uint32 }
	fdByIDAttr struct{ id, _, _ uint32 }
	infoAttr   struct {
		fd, size uint32
		info     unsafe.Pointer
	}
	btfInfo struct {
		btf              unsafe.Pointer
		btfSize, _       uint32
		name             unsafe.Pointer
		nameLen, kernels uint32
	}
)

var errNotKernelBTF = errors.New("not the kernel's BTF")

// copyKernelBTF has the kernel copy its BTF, the first that it loaded, in
// one call. It takes CAP_SYS_ADMIN. Since Linux 5.11.
func copyKernelBTF(size int) (raw []byte, release func(), err error) {
	var next nextIDAttr
	if _, err := call(unix.BPF_BTF_GET_NEXT_ID, &next); err != nil {
		return nil, nil, fmt.Errorf("find kernel BTF: %w", err)
	}
	fd, err := call(unix.BPF_BTF_GET_FD_BY_ID, &fdByIDAttr{id: next.nextID})
	if err != nil {
		return nil, nil, fmt.Errorf("open kernel BTF: %w", err)
	}
	defer unix.Close(fd)
	const huge = 2 << 20 // large pages: touching small ones takes longer than the copy
	room, err := unix.Mmap(-1, 0, (size+huge-1)&^(huge-1), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, nil, fmt.Errorf("copy kernel BTF: %w", err)
	}
	release = func() { unix.Munmap(room) }
	_ = unix.Madvise(room, unix.MADV_HUGEPAGE) // only speed
	var name [8]byte                           // "vmlinux"
	info := btfInfo{
		btf: unsafe.Pointer(unsafe.SliceData(room)), btfSize: uint32(size), name: unsafe.Pointer(&name), nameLen: uint32(len(name)),
	}
	_, err = call(unix.BPF_OBJ_GET_INFO_BY_FD, &infoAttr{uint32(fd), uint32(unsafe.Sizeof(info)), unsafe.Pointer(&info)})
	runtime.KeepAlive(room)
	switch {
	case err != nil:
		err = fmt.Errorf("copy kernel BTF: %w", err)
	case info.kernels == 0 || string(name[:7]) != "vmlinux" || int(info.btfSize) != size:
		err = fmt.Errorf("copy kernel BTF: %w", errNotKernelBTF)
	default:
		return room[:size], release, nil
	}
	release()
	return nil, nil, err
}
