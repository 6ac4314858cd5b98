package bpfiter

import (
	"fmt"
	"structs"
	"unsafe"

	"golang.org/x/sys/unix"
)

// wantedBits is the number of bits of struct wanted, as a power of two.
const wantedBits = 15

// wantedUnit is the unit of a question for the address of the wanted set in our
// memory.
const wantedUnit = 16 << 20

// A wantedSet is struct wanted of bpf/question.h: a set of inodes, by their
// lower bits. A program reads it from the memory of the asking process. The
// zero value has no memory yet.
type wantedSet struct {
	room []byte // address space reserved to find an aligned place in
	*wanted
}

// A wanted is struct wanted.
type wanted struct {
	_       structs.HostLayout
	bits    [1 << wantedBits / 64]uint64
	summary uint64
}

// open reserves address space, of which a few pages are ever used.
func (w *wantedSet) open() error {
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

// set makes it the set of the sockets.
func (w *wantedSet) set(sockets []sighting) {
	w.empty()
	for _, at := range sockets {
		w.add(uint64(at.inode))
	}
}

// setKeys makes it the set of the files with these keys.
func (w *wantedSet) setKeys(keys []uint64) {
	w.empty()
	for _, key := range keys {
		w.add(key)
	}
}

func (w *wantedSet) empty() {
	clear(w.bits[:])
	w.summary = 0
}

func (w *wantedSet) add(n uint64) {
	w.summary |= 1 << (n >> wantedBits & 63)
	n &= 1<<wantedBits - 1
	w.bits[n/64] |= 1 << (n % 64)
}

// ask returns the question for the sockets of the set alone.
func (w *wantedSet) ask(q question) question {
	q.flags |= askWanted
	q.number = uint32(uintptr(unsafe.Pointer(w.wanted)) / wantedUnit)
	return q
}

func (w *wantedSet) close() error {
	if w.room == nil {
		return nil
	}
	room := w.room
	*w = wantedSet{}
	return unix.Munmap(room)
}
