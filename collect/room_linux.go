package collect

import (
	"syscall"
	"unsafe"
)

// largePage is the size of the pages that the kernel is asked for, and the
// least memory worth asking. On machines whose large pages have another size
// the kernel takes what fits.
const largePage = 2 << 20

// adviseLarge asks the kernel to back the elements of s, up to its capacity,
// by large pages: it then puts in 512 pages at once, where touching a new array
// of ten megabytes page by page costs as long as joining what is in it. It is
// advice (MADV_HUGEPAGE); a kernel that has none to give does as before.
func adviseLarge[T any](s []T) {
	size := uintptr(cap(s)) * unsafe.Sizeof(*new(T))
	if size < 2*largePage {
		return
	}
	begin := uintptr(unsafe.Pointer(unsafe.SliceData(s)))
	skip := -begin & (largePage - 1)
	whole := (size - skip) &^ (largePage - 1)
	memory := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), size)[skip : skip+whole]
	_ = syscall.Madvise(memory, syscall.MADV_HUGEPAGE)
}
