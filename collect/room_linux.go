package collect

import (
	"syscall"
	"unsafe"
)

// largePage is the size of the pages to ask the kernel for, and the least
// memory worth asking. On machines with large pages of another size the kernel
// takes as many as fit.
const largePage = 2 << 20

// adviseLarge asks the kernel to back the elements of s, up to its capacity, by
// large pages. It then puts in 512 pages at once: touching a new array of ten
// megabytes page by page costs as long as joining its contents. It is advice
// (MADV_HUGEPAGE); a kernel without large pages does as before.
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
