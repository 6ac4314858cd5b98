package bpfevent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose/internal/bpf"
)

// Read calls fn for each record until ctx ends, the source is closed, or fn
// returns an error. It returns ctx's error, [fs.ErrClosed], or fn's error.
// After the end of ctx it reads the records up to then before it returns. The
// record, and the slices in it, belong to the source: they are valid until fn
// returns.
//
// Records of one socket come in order; those of several may be up to
// [Config].FlushEvery apart from the order of their times.
//
// Read looks at the ring every [Config].FlushEvery, and more often where many
// records come: small lots do not keep others waiting for long for the reader's
// processor.
func (s *Source) Read(ctx context.Context, fn func(*Record) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	stop := context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.released {
			_ = s.interrupt() // an eventfd takes every write
		}
	})
	defer stop()
	if err := s.emitAfter(s.config.emitAfter()); err != nil {
		return err
	}
	p := newPace(s.config.FlushEvery)
	for {
		if err := s.wait(p.pause); err != nil {
			return err
		}
		over := ctx.Err()
		if over != nil {
			if err := s.emitAfter(0); err != nil {
				return err
			}
		}
		n, err := s.look(fn)
		if err != nil {
			return err
		}
		p.looked(n, time.Now())
		if over != nil {
			return over
		}
		if s.isClosed() {
			return fmt.Errorf("read events: %w", fs.ErrClosed)
		}
	}
}

// emitAfter sets the time after which open connections are reported.
func (s *Source) emitAfter(d time.Duration) error {
	if err := s.object.Set(eventsVarEmitAfter, uint64(d)); err != nil {
		return fmt.Errorf("tell programs when to tell of connections: %w", err)
	}
	return nil
}

// OnLook sets two functions. begin is called before the records of each look at
// the ring, and end after them, with a time of the boot clock, in nanoseconds.
// Everything up to this time has been reported, with two exceptions: connects
// refused at once are reported 250 ms later, and with [Config].Packets flows
// that began with an incoming packet up to 100 ms later. OnLook is called
// before Read, and Read's goroutine calls the functions.
func (s *Source) OnLook(begin func(), end func(until uint64)) { s.beforeLook, s.afterLook = begin, end }

// look makes the programs emit everything due, and reads it. It returns the
// number of records.
func (s *Source) look(fn func(*Record) error) (records int, err error) {
	if s.beforeLook != nil {
		began, err := bpf.Boot()
		if err != nil {
			return 0, err
		}
		until := int64(began - s.config.settlesAfter())
		defer func() { s.afterLook(uint64(max(until, 0))) }()
	}
	for _, name := range []string{eventsProgFlush, eventsProgFlushCorks, eventsProgFlushFlows} {
		if s.object.Programs[name] == nil {
			continue
		}
		if err := s.run(name); err != nil {
			return 0, err
		}
	}
	if s.beforeLook != nil {
		s.beforeLook()
	}
	err = s.ring.drain(func(b []byte) error {
		records++
		return s.decoder.decode(b, fn)
	})
	return records, err
}

// wait returns after that time, when much is in the ring, or when interrupted.
func (s *Source) wait(d time.Duration) error {
	conn, err := s.epoll.SyscallConn()
	if err == nil {
		err = s.epoll.SetReadDeadline(time.Now().Add(d))
	}
	if err != nil {
		return fmt.Errorf("wait for events: %w", err)
	}
	var failed error
	err = conn.Read(func(fd uintptr) bool {
		var events [2]unix.EpollEvent
		var n int
		n, failed = unix.EpollWait(int(fd), events[:], 0)
		return n > 0 || failed != nil && !errors.Is(failed, unix.EINTR)
	})
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil
	case err == nil:
		err = failed
	}
	if err != nil {
		return fmt.Errorf("wait for events: %w", err)
	}
	return nil
}

func (s *Source) enter() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return fmt.Errorf("read events: %w", fs.ErrClosed)
	case s.reading:
		return errors.New("read events: another read is under way")
	}
	s.reading = true
	return nil
}

// leave ends a read, and releases a source that was closed meanwhile.
func (s *Source) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reading = false
	if s.closed {
		_ = s.release() // of what Close has already detached
	}
}

func (s *Source) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}
