package bpfiter

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose/internal/source"
)

// wantedUnit is the unit of a question for the address of a wanted in our memory.
const wantedUnit = 16 << 20

// A wantedPlace is a wanted where a question can name it. The zero value has no
// memory yet.
type wantedPlace struct {
	room []byte // address space reserved to find an aligned place in
	*wanted
}

// begin makes it the conditions of a query.
func (w *wantedPlace) begin(q *source.Query, ask question) error {
	if w.wanted == nil && q.Any == nil && q.NetNS == nil {
		return nil
	}
	if err := w.open(); err != nil {
		return err
	}
	w.setConditions(q, ask)
	return nil
}

// open reserves address space, of which a few pages are ever used.
func (w *wantedPlace) open() error {
	if w.wanted != nil {
		return nil
	}
	room, err := unix.Mmap(-1, 0, 2*wantedUnit, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return fmt.Errorf("reserve address space: %w", err)
	}
	skip := -uintptr(unsafe.Pointer(unsafe.SliceData(room))) % wantedUnit
	page := room[skip : skip+unsafe.Sizeof(wanted{})]
	if err := unix.Mprotect(page, unix.PROT_READ|unix.PROT_WRITE); err != nil {
		unix.Munmap(room)
		return fmt.Errorf("reserve address space: %w", err)
	}
	w.room, w.wanted = room, (*wanted)(unsafe.Pointer(unsafe.SliceData(page)))
	return nil
}

// ask returns the question with what is wanted, if anything is.
func (w *wantedPlace) ask(q question) question {
	if w.wanted == nil || w.has == 0 {
		return q
	}
	q.flags |= askWanted
	q.number = uint32(uintptr(unsafe.Pointer(w.wanted)) / wantedUnit)
	return q
}

func (w *wantedPlace) close() error {
	if w.room == nil {
		return nil
	}
	room := w.room
	*w = wantedPlace{}
	return unix.Munmap(room)
}
