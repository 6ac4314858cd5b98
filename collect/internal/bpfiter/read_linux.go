package bpfiter

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
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

// readAll reads a run to the end on a thread named after the question, and
// hands each piece to apply. The pieces are of whole records and valid until
// apply returns.
func readAll(ctx context.Context, r run, buf []uint64) error {
	return onNamedThread(r.ask.name(), func() error {
		fd, err := r.it.Open()
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return drain(ctx, fd, r, buf)
	})
}

// drain reads fd, an iterator of r, to the end.
func drain(ctx context.Context, fd int, r run, buf []uint64) error {
	room := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(buf))), len(buf)*8)
	for silent := 0; ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := readPiece(fd, r.enough, room)
		switch {
		case err == unix.EAGAIN && r.ask.flags&askResume != 0:
			return nil // after the one element
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			if silent++; silent > maxSilent {
				return fmt.Errorf("read iterator: %w", errSilent)
			}
			continue
		case err != nil:
			return fmt.Errorf("read iterator: %w", err)
		case n == 0:
			return nil
		}
		silent = 0
		if err := r.apply(room[:n]); err != nil {
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

// onNamedThread calls f on a thread that has the name for as long. It never
// takes the process's first thread, whose name is the process's.
func onNamedThread(name [16]byte, f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if unix.Gettid() == os.Getpid() {
		done := make(chan error)
		go func() { done <- onNamedThread(name, f) }()
		return <-done
	}
	var before [16]byte
	if err := threadName(unix.PR_GET_NAME, &before); err != nil {
		return err
	}
	if err := threadName(unix.PR_SET_NAME, &name); err != nil {
		return err
	}
	return errors.Join(f(), threadName(unix.PR_SET_NAME, &before))
}

func threadName(op int, name *[16]byte) error {
	if err := unix.Prctl(op, uintptr(unsafe.Pointer(name)), 0, 0, 0); err != nil {
		return fmt.Errorf("name thread: %w", err)
	}
	return nil
}
