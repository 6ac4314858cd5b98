package bpfiter

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Hands make the runs of a source, each on a thread of its own that has the name of
// the question for as long. They are kept from one Read to the next, so that a run
// allocates nothing: a process with many sockets takes hundreds.
type hands struct {
	all  []*hand
	busy sync.WaitGroup
}

// do makes all runs at once.
func (h *hands) do(ctx context.Context, runs []run) error {
	for len(h.all) < len(runs) {
		h.all = append(h.all, newHand(&h.busy))
	}
	h.busy.Add(len(runs))
	for i, r := range runs {
		one := h.all[i]
		one.ctx, one.run, one.name = ctx, r, r.ask.name()
		go one.start()
	}
	h.busy.Wait()
	var errs []error
	for _, one := range h.all[:len(runs)] {
		if one.err != nil {
			errs = append(errs, one.err)
		}
		one.ctx, one.run, one.err = nil, run{}, nil
	}
	return errors.Join(errs...)
}

// A hand makes one run after the other. The functions that it starts goroutines with
// are made once.
type hand struct {
	ctx          context.Context
	run          run
	buf          []uint64
	name, before [16]byte
	err          error
	busy         *sync.WaitGroup
	start        func()
	// elsewhere works on another thread than the process's first, and says so when
	// it has done.
	elsewhere func()
	done      chan struct{}
}

func newHand(busy *sync.WaitGroup) *hand {
	h := &hand{buf: make([]uint64, bufferSize()/8), busy: busy, done: make(chan struct{})}
	h.start = h.work
	h.elsewhere = func() {
		h.onThread()
		h.done <- struct{}{}
	}
	return h
}

// work makes the run. It never takes the process's first thread, whose name is the
// process's: it keeps that one busy while another works.
func (h *hand) work() {
	defer h.busy.Done()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if unix.Gettid() == os.Getpid() {
		go h.elsewhere()
		<-h.done
		return
	}
	h.named()
}

func (h *hand) onThread() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	h.named()
}

// named makes the run by the name of its question.
func (h *hand) named() {
	if h.err = threadName(unix.PR_GET_NAME, &h.before); h.err != nil {
		return
	}
	if h.err = threadName(unix.PR_SET_NAME, &h.name); h.err != nil {
		return
	}
	h.err = h.read()
	if err := threadName(unix.PR_SET_NAME, &h.before); err != nil {
		h.err = errors.Join(h.err, err)
	}
}

// read reads the run to its end and hands each piece to apply. The pieces are of
// whole records and valid until apply returns.
func (h *hand) read() error {
	fd, err := h.run.it.Open()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := drain(h.ctx, fd, &h.run, h.buf); err != nil {
		return fmt.Errorf("read %s: %w", h.run.name(), err)
	}
	return nil
}

// threadName gets or sets the name of the thread. The name must not be on a stack,
// which may move.
func threadName(op int, name *[16]byte) error {
	if err := unix.Prctl(op, uintptr(unsafe.Pointer(name)), 0, 0, 0); err != nil {
		return fmt.Errorf("name thread: %w", err)
	}
	return nil
}
