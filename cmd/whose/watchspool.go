package main

import (
	"errors"
	"io"
	"sync"
	"time"
)

// A spool holds lines until they are written by a goroutine of its own: at
// once where the reader is quick, in few large pieces under load. It holds no
// more than its bound: who adds to a full one waits until the reader has taken
// some, and meanwhile the tracker's own bounded queue fills, which counts what
// it has to drop.
type spool struct {
	w     io.Writer
	delay time.Duration // how long a line may wait for others

	mu        sync.Mutex
	room      sync.Cond // there is room again, or no hope of it
	buf       []byte    // what was added and is not being written
	err       error     // of the writer; nothing is written after it
	abandoned bool
	closing   bool

	wake  chan struct{} // something was added to an empty buffer, or closing
	hurry chan struct{} // the buffer is full enough to be written now
	done  chan struct{} // all is written that will be
}

const (
	// spoolLimit is how much is held for a slow reader.
	spoolLimit = 1 << 20
	// spoolHurry is how much is written without waiting for more.
	spoolHurry = 64 << 10
)

// errAbandoned says that nothing is added any more: who waits was told not to,
// or the writer failed, which close tells.
var errAbandoned = errors.New("output abandoned")

func newSpool(w io.Writer, delay time.Duration) *spool {
	s := &spool{
		w: w, delay: delay,
		wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1), done: make(chan struct{}),
	}
	s.room.L = &s.mu
	return s
}

// add lets line append to the buffer, after waiting for room if there is none.
// It reports whether line was called; if not, the error is errAbandoned.
func (s *spool) add(line func(dst []byte) []byte) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.buf) >= spoolLimit && s.err == nil && !s.abandoned {
		s.room.Wait()
	}
	if s.err != nil || len(s.buf) >= spoolLimit {
		return false, errAbandoned
	}
	before := len(s.buf)
	s.buf = line(s.buf)
	if before == 0 && len(s.buf) > 0 {
		signalOnce(s.wake)
	}
	if before < spoolHurry && len(s.buf) >= spoolHurry {
		signalOnce(s.hurry)
	}
	return true, nil
}

func signalOnce(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// abandon lets nobody wait for room any more.
func (s *spool) abandon() {
	s.mu.Lock()
	s.abandoned = true
	s.mu.Unlock()
	s.room.Broadcast()
}

// writeAll writes what is added until the spool is closed or the writer fails,
// of which it tells failed.
func (s *spool) writeAll(failed func(error)) {
	defer close(s.done)
	timer := time.NewTimer(s.delay)
	defer timer.Stop()
	var spare []byte
	for range s.wake {
		s.gather(timer)
		s.mu.Lock()
		spare, s.buf = s.buf, spare[:0]
		closing := s.closing
		s.mu.Unlock()
		s.room.Broadcast()
		if len(spare) > 0 {
			if _, err := s.w.Write(spare); err != nil {
				s.fail(err)
				failed(err)
				return
			}
		}
		if closing {
			return
		}
	}
}

// gather waits for more lines, a short time.
func (s *spool) gather(timer *time.Timer) {
	if s.delay == 0 {
		return
	}
	timer.Reset(s.delay)
	select {
	case <-timer.C:
	case <-s.hurry:
	}
}

func (s *spool) fail(err error) {
	s.mu.Lock()
	s.err = err
	s.mu.Unlock()
	s.room.Broadcast()
}

// close waits until all is written, at most for the limit unless that is 0, and
// returns the writer's error.
func (s *spool) close(limit time.Duration) error {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	signalOnce(s.hurry)
	signalOnce(s.wake)
	var late <-chan time.Time
	if limit > 0 {
		late = time.After(limit)
	}
	select {
	case <-s.done:
	case <-late:
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}
