package export

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/seed-44df2ae6/whose/internal/remote"
)

// A Sink takes batches. Sending the same batch again, with the same token, must leave
// its lines once.
type Sink interface {
	// Send hands over the bytes of a batch: JSON lines, compressed by zstd. A
	// [RejectedError] means that it will never be taken; after any other error it is
	// tried again.
	Send(ctx context.Context, batch []byte, token string) error
	// String names the receiver, without secrets.
	String() string
}

// A RejectedError is the answer of a receiver that will not take a batch.
type RejectedError struct{ Err error }

func (e *RejectedError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *RejectedError) Unwrap() error { return e.Err }

// The waits between attempts: from the first to the most, twice as long each time, with
// jitter, so that a thousand hosts do not come back together.
const (
	firstWait = time.Second
	mostWait  = time.Minute
	// mostAsked bounds how long a receiver may have us wait.
	mostAsked = 10 * time.Minute
	// attempt bounds one attempt.
	attempt = time.Minute
)

// A Sender takes the batches of a spool to a sink.
type Sender struct {
	Spool *Spool
	Sink  Sink
	// Report is called when sending begins to fail, when it works again (nil), and for
	// each batch that was set aside.
	Report func(error)

	failing bool
	// wait is for tests; nil: by the clock.
	wait func(context.Context, time.Duration)
}

// Run sends until ctx ends or the spool is closed.
func (s *Sender) Run(ctx context.Context) {
	tries := 0
	for {
		b, ok := s.Spool.Next(ctx)
		if !ok {
			return
		}
		err := s.send(ctx, &b)
		if err == nil {
			tries = 0
			continue
		}
		if ctx.Err() != nil {
			return
		}
		s.pause(ctx, waitAfter(err, tries))
		tries++
	}
}

func (s *Sender) pause(ctx context.Context, d time.Duration) {
	if s.wait != nil {
		s.wait(ctx, d)
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// waitAfter is the time until the next attempt, after so many that failed before.
func waitAfter(err error, tries int) time.Duration {
	most := min(firstWait<<min(tries, 10), mostWait)
	d := most/2 + rand.N(most/2+1)
	var answer *remote.StatusError
	if errors.As(err, &answer) {
		d = max(d, min(answer.After, mostAsked))
	}
	return d
}

// send sends one batch, and settles what becomes of it. The error asks for another
// attempt.
func (s *Sender) send(ctx context.Context, b *Batch) error {
	err := s.attempt(ctx, b)
	var rejected *RejectedError
	switch {
	case err == nil:
		if err = s.Spool.Sent(b, time.Now()); err == nil {
			s.works()
			return nil
		}
	case errors.As(err, &rejected):
		why := fmt.Errorf("%s refuses a batch of %d lines, which is set aside: %w", s.Sink, b.Lines, rejected.Err)
		if err = s.Spool.SetAside(b, why); err == nil {
			s.Report(why)
			return nil
		}
	}
	s.Spool.Failed(err)
	if !s.failing && ctx.Err() == nil {
		s.failing = true
		s.Report(fmt.Errorf("send to %s: %w", s.Sink, err))
	}
	return err
}

func (s *Sender) attempt(ctx context.Context, b *Batch) error {
	text, err := s.Spool.Read(b)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	return s.Sink.Send(ctx, text, s.Spool.Token(b))
}

func (s *Sender) works() {
	if s.failing {
		s.failing = false
		s.Report(nil)
	}
}
