package main

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/ask"
)

// An agentStream is the stream of events of an agent. Where the agent ends, it waits for
// the next one and goes on after the last event that it had.
type agentStream struct {
	client ask.Client
	about  *ask.Question
	ctx    context.Context
	cancel context.CancelFunc
	again  again
	// heard: an event of the live part came. stood are the standing sessions until then.
	heard bool
	stood map[stoodID]bool
}

// A stoodID is the identity of a session that stands.
type stoodID struct {
	cookie        uint64
	netns         uint32
	local, remote netip.AddrPort
}

// errAgentEnded is the end of a stream that has none.
var errAgentEnded = errors.New("the agent ended")

// Each calls fn for each event, as a tracker does, and for none twice.
func (s *agentStream) Each(ctx context.Context, fn func(*whose.Event) bool) error {
	defer context.AfterFunc(ctx, s.cancel)()
	s.about.Began = func(seq uint64) {
		s.again.answered()
		if !s.heard && !s.about.Initial {
			s.about.After = seq
		}
	}
	for {
		more := true
		_, err := s.client.Events(s.ctx, s.about, func(e *whose.Event) bool {
			if s.repeats(e) {
				return true
			}
			more = fn(e)
			return more
		})
		switch {
		case !more || s.ctx.Err() != nil:
			return nil
		case err == nil:
			err = errAgentEnded
		}
		if !s.again.wait(s.ctx, err) {
			return agentError(err)
		}
	}
}

// repeats notes an event, and reports whether it was there before: standing sessions
// come anew where the stream broke off among them.
func (s *agentStream) repeats(e *whose.Event) bool {
	if e.Seq != 0 {
		s.heard, s.stood = true, nil
		s.about.After, s.about.Initial = e.Seq, false
		return false
	}
	if e.Kind != whose.EventStanding {
		return false
	}
	id := stoodID{e.Session.Cookie, e.Session.NetNS, e.Session.Local, e.Session.Remote}
	if s.stood[id] {
		return true
	}
	if s.stood == nil {
		s.stood = make(map[stoodID]bool)
	}
	s.stood[id] = true
	return false
}

// Close ends the stream.
func (s *agentStream) Close() error {
	s.cancel()
	return nil
}

// again waits for an agent that was there and is gone. It is for one goroutine.
type again struct {
	sh     *shell
	socket string
	// had: it has answered once. away: it is known to be gone.
	had, away bool
	pause     time.Duration
}

// The pauses between two attempts to reach an agent.
const (
	firstPause = 50 * time.Millisecond
	mostPause  = 2 * time.Second
)

// answered notes that the agent answers.
func (a *again) answered() {
	if a.away {
		a.sh.say("an agent answers again at %s", a.socket)
	}
	a.had, a.away, a.pause = true, false, 0
}

// wait waits until it is time to ask again, and reports whether to do so: false where no
// agent ever answered, where it refuses, and at the end of ctx.
func (a *again) wait(ctx context.Context, err error) bool {
	if !a.had || !errors.Is(err, errAgentEnded) && !ask.Gone(err) {
		return false
	}
	if !a.away {
		a.away = true
		a.sh.say("%v; waiting for an agent at %s", err, a.socket)
	}
	a.pause = min(max(2*a.pause, firstPause), mostPause)
	select {
	case <-ctx.Done():
		return true // the next question ends by it
	case <-time.After(a.pause):
		return true
	}
}
