package bpfevent

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// A ring is the reader's view of the kernel's ring buffer
// (kernel/bpf/ringbuf.c): a page with the reader's place, which it writes, a
// page with the writers', and the records. The kernel offers them twice in a row,
// so that none is broken at the end, but each mapping counts as memory of this
// process. So they are mapped once, and the record at the end is put together.
type ring struct {
	fd       int
	consumer []byte
	producer []byte
	size     uint64
	broken   []byte
}

// Bits of a record's header, and its size.
const (
	ringBusy    = 1 << 31
	ringDiscard = 1 << 30
	ringHeader  = 8
)

func openRing(m *ebpf.Map) (*ring, error) {
	page := os.Getpagesize()
	r := &ring{fd: m.FD(), size: uint64(m.MaxEntries())}
	var err error
	r.consumer, err = unix.Mmap(r.fd, 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map ring buffer: %w", err)
	}
	r.producer, err = unix.Mmap(r.fd, int64(page), page+int(r.size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("map ring buffer: %w", err), unix.Munmap(r.consumer))
	}
	return r, nil
}

func (r *ring) close() error {
	return errors.Join(unix.Munmap(r.consumer), unix.Munmap(r.producer))
}

func (r *ring) places() (read, written *uint64) {
	return (*uint64)(unsafe.Pointer(unsafe.SliceData(r.consumer))), (*uint64)(unsafe.Pointer(unsafe.SliceData(r.producer)))
}

// giveBack is the number of bytes read before the writers may have their room.
const giveBack = 64 << 10

// drain calls fn for the records present now. They are aligned to 8 and valid
// until fn returns.
func (r *ring) drain(fn func([]byte) error) error {
	read, written := r.places()
	at := atomic.LoadUint64(read)
	end := atomic.LoadUint64(written)
	given := at
	defer func() { atomic.StoreUint64(read, at) }()
	records := r.producer[os.Getpagesize():]
	for at < end {
		place := at & (r.size - 1)
		n := atomic.LoadUint32((*uint32)(unsafe.Pointer(&records[place])))
		if n&ringBusy != 0 {
			return nil // it is being written: next time
		}
		size := uint64(n &^ (ringBusy | ringDiscard))
		if size > r.size {
			return fmt.Errorf("read ring buffer: record of %d bytes", size)
		}
		at += (size + ringHeader + 7) &^ 7
		if n&ringDiscard == 0 {
			if err := fn(r.record(records, (place+ringHeader)&(r.size-1), size)); err != nil {
				return err
			}
		}
		if at-given >= giveBack {
			atomic.StoreUint64(read, at)
			given = at
		}
	}
	return nil
}

// record returns the record of a size at a place.
func (r *ring) record(records []byte, place, size uint64) []byte {
	if place+size <= r.size {
		return records[place : place+size]
	}
	r.broken = append(append(r.broken[:0], records[place:]...), records[:place+size-r.size]...)
	return r.broken
}
