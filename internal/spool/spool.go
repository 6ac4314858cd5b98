// Package spool writes lines to a reader, slow or gone, and holds up their
// writers no more than necessary.
package spool

import (
	"errors"
	"io"
	"sync"
	"time"
)

const (
	// limit is the number of bytes held for a slow reader.
	limit = 1 << 20
	// enough is the number of bytes written without waiting for more.
	enough = 64 << 10
)

// ErrAbandoned means the spool takes no more lines. After [Spool.Abandon] nobody
// waits for room. After an error of the writer nothing is written; [Spool.Close]
// returns this error.
var ErrAbandoned = errors.New("output abandoned")

// A Spool holds lines until [Spool.Run] writes them: at once for a quick reader,
// in few large pieces under load. It holds about 1 MiB at most; Add waits while
// it is full. It is safe for concurrent use.
type Spool struct {
	w     io.Writer
	delay time.Duration

	mu        sync.Mutex
	room      sync.Cond // there is room again, or no hope of it
	buf       []byte    // lines added and not being written
	err       error     // of the writer; nothing is written after it
	abandoned bool
	closing   bool

	wake  chan struct{} // something was added to an empty buffer, or closing
	hurry chan struct{} // the buffer is full enough to be written now
	done  chan struct{} // all writing is over
}

// New returns a spool for w. A line waits for others for the delay, so many are
// written at once. 0: it does not wait.
func New(w io.Writer, delay time.Duration) *Spool {
	s := &Spool{
		w: w, delay: delay,
		wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1), done: make(chan struct{}),
	}
	s.room.L = &s.mu
	return s
}

// Add lets line append to the buffer, after waiting for room if there is none.
// It reports whether line was called. If not, the error is [ErrAbandoned].
func (s *Spool) Add(line func(dst []byte) []byte) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.buf) >= limit && s.err == nil && !s.abandoned {
		s.room.Wait()
	}
	if s.err != nil || len(s.buf) >= limit {
		return false, ErrAbandoned
	}
	before := len(s.buf)
	s.buf = line(s.buf)
	if before == 0 && len(s.buf) > 0 {
		signal(s.wake)
	}
	if before < enough && len(s.buf) >= enough {
		signal(s.hurry)
	}
	return true, nil
}

// signal leaves a signal, unless an untaken one is there.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Abandon ends all waiting for room, now and later.
func (s *Spool) Abandon() {
	s.mu.Lock()
	s.abandoned = true
	s.mu.Unlock()
	s.room.Broadcast()
}

// Run writes added lines until the spool is closed or the writer fails. It calls
// failed with the error.
func (s *Spool) Run(failed func(error)) {
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

// gather waits for more lines, for the delay.
func (s *Spool) gather(timer *time.Timer) {
	if s.delay == 0 {
		return
	}
	timer.Reset(s.delay)
	select {
	case <-timer.C:
	case <-s.hurry:
	}
}

func (s *Spool) fail(err error) {
	s.mu.Lock()
	s.err = err
	s.mu.Unlock()
	s.room.Broadcast()
}

// Close waits until all is written, at most for patience unless it is 0, and
// returns the writer's error. Nothing may be added after it.
func (s *Spool) Close(patience time.Duration) error {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	signal(s.hurry)
	signal(s.wake)
	var late <-chan time.Time
	if patience > 0 {
		late = time.After(patience)
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
