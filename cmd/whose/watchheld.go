package main

import (
	"context"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/seed-44df2ae6/whose"
)

const (
	// nameWait is how long an event is held at most until the name of its
	// remote address is known: a name server that is near answers in that time,
	// and nobody minds it who watches.
	nameWait = 100 * time.Millisecond
	// heldMost events are held; from half of it on none waits for a name.
	heldMost = 1024
)

// A heldStream gives out events a little later, when the names of their remote
// addresses are known, in the order in which they come. The time that each is
// held counts from its coming, so they wait together and not one after the
// other; and under load none waits.
type heldStream struct {
	eventStream
	names *laterNames
	pid   uint32 // our own
}

// A heldEvent is one that waits, with what it refers to that is not its own.
type heldEvent struct {
	event whose.Event
	tcp   whose.TCPInfo
	until time.Time
}

// named returns the stream with names, if there are lines to show them.
func (w *watch) named(t eventStream) eventStream {
	if w.quiet {
		return t
	}
	return &heldStream{eventStream: t, names: w.names, pid: uint32(os.Getpid())}
}

// Each is as that of the tracker. When ctx ends, what is held is given out at once.
func (h *heldStream) Each(ctx context.Context, fn func(*whose.Event) bool) error {
	taking, leave := context.WithCancel(ctx)
	held, gone, hurry := make(chan heldEvent, heldMost), make(chan struct{}), make(chan struct{}, 1)
	var taker sync.WaitGroup
	var err error
	taker.Go(func() { err = h.take(taking, held, gone, hurry) })
	h.give(ctx, held, hurry, fn)
	leave()
	close(gone)
	taker.Wait()
	return err
}

// take takes events from the tracker and asks for the names that they need.
func (h *heldStream) take(ctx context.Context, held chan<- heldEvent, gone <-chan struct{}, hurry chan struct{}) error {
	defer close(held)
	return h.eventStream.Each(ctx, func(e *whose.Event) bool {
		if a := e.Session.Remote.Addr(); hasName(a) {
			h.names.ask(a, h.isOwn(&e.Session))
		}
		holding := heldEvent{event: *e, until: time.Now().Add(nameWait)}
		if e.Session.TCP != nil {
			holding.tcp = *e.Session.TCP
		}
		select {
		case held <- holding:
		case <-gone:
			return false
		}
		if len(held) >= heldMost/2 {
			signalOnce(hurry)
		}
		return true
	})
}

// give gives out what is held, each after its time.
func (h *heldStream) give(ctx context.Context, held <-chan heldEvent, hurry chan struct{}, fn func(*whose.Event) bool) {
	var e heldEvent
	for e = range held {
		if e.event.Session.TCP != nil {
			e.event.Session.TCP = &e.tcp
		}
		select {
		case <-hurry: // of earlier
		default:
		}
		if len(held) < heldMost/2 {
			h.wait(ctx, &e, hurry)
		}
		if !fn(&e.event) {
			return
		}
	}
}

// isOwn reports whether a session is one of ours, by which we ask.
func (h *heldStream) isOwn(s *whose.Session) bool {
	return slices.ContainsFunc(s.Owners, func(o whose.Owner) bool { return o.PID == h.pid })
}

// wait waits for the name that an event needs, if it is being asked for.
func (h *heldStream) wait(ctx context.Context, e *heldEvent, hurry <-chan struct{}) {
	a := e.event.Session.Remote.Addr()
	if !hasName(a) {
		return
	}
	answered := h.names.answered(a)
	if answered == nil {
		return
	}
	left := time.NewTimer(time.Until(e.until))
	defer left.Stop()
	select {
	case <-answered:
	case <-left.C:
	case <-hurry:
	case <-ctx.Done():
	}
}
