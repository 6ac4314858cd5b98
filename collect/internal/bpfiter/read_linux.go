package bpfiter

import (
	"context"
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

// An opener gives a new run of an iterator: a descriptor to read from start to
// end, which the caller closes.
type opener interface {
	Open() (int, error)
}

// maxSilent bounds the empty reads in a row. A run over a million objects, all
// left out, ends a read with EAGAIN. So many reads allow for more objects than
// a host can have.
const maxSilent = 20_000

var errSilent = errors.New("nothing but EAGAIN")

// name names the iterator: the path of a pinned one, else its program.
func (r *run) name() string {
	if p, ok := r.it.(pinnedIter); ok {
		return p.path()
	}
	return r.of.String()
}

// drain reads fd, an iterator of r, to the end.
func drain(ctx context.Context, fd int, r *run, buf []uint64) error {
	room := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(buf))), len(buf)*8)
	headed := r.of == 0
	for silent := 0; ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := readPiece(fd, r.enough, room)
		switch {
		case err == unix.EAGAIN && r.ask.flags&askResume != 0 && headed:
			return nil // after the one element
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			if silent++; silent > maxSilent {
				return errSilent
			}
			continue
		case err != nil:
			return err
		case n == 0 && !headed:
			return errNoHeader
		case n == 0:
			return nil
		}
		silent = 0
		records := room[:n]
		if !headed {
			if records, err = r.behindHeader(records); err != nil {
				return err
			}
			headed = true
		}
		if err := r.apply(records); err != nil {
			return err
		}
	}
}

// readPiece reads once. If the output of an object does not fit the rest of the
// kernel's buffer, the next read visits the object again. With large objects,
// enough bytes end a read before this happens; 0: no matter. The bytes beyond
// are read too, since enough may lie amid a record.
func readPiece(fd, enough int, room []byte) (int, error) {
	if enough == 0 {
		return unix.Read(fd, room)
	}
	n, err := unix.Read(fd, room[:enough])
	if err != nil || n < enough {
		return n, err
	}
	for {
		rest, err := unix.Read(fd, room[n:])
		switch err {
		case nil:
			return n + rest, nil
		case unix.EAGAIN:
			return n, nil
		case unix.EINTR:
			continue
		}
		return 0, err
	}
}

// firstRecord reads as much of a run as a header, less at its end. It costs the
// look at one object, as a rule.
func firstRecord(fd int) ([]byte, error) {
	words := make([]uint64, int(unsafe.Sizeof(headerRecord{}))/8)
	b := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), len(words)*8)
	for range maxSilent {
		n, err := unix.Read(fd, b)
		switch {
		case err == unix.EAGAIN || err == unix.EINTR:
			continue
		case err == nil && n == 0:
			return nil, errNoHeader
		}
		return b[:max(n, 0)], err
	}
	return nil, errSilent
}
