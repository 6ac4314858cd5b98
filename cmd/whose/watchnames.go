package main

import (
	"context"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/hostname"
	"github.com/seed-44df2ae6/whose/internal/render"
	"github.com/seed-44df2ae6/whose/internal/tally"
)

const (
	// nameWait is how long an event waits at most for the name of its remote
	// address, and nameLook how often it looks: a name server that is near
	// answers in that time, and nobody who watches notices it.
	nameWait, nameLook = 100 * time.Millisecond, 2 * time.Millisecond
	// maxHeld events are held; from half of it on none waits for a name.
	maxHeld = 1024
)

// settleNames makes the resolver of --resolve.
func (w *watch) settleNames() error {
	if !w.resolve {
		return nil
	}
	if w.format != render.Text {
		return refuseNames(w.format, render.Text)
	}
	w.names = hostname.New(w.within, w.sh.lookup)
	w.shape.HostName, w.shape.ServiceName = w.names.Name, hostname.ReadServices(w.sh.services).Name
	return nil
}

// named returns the stream with names, if there are lines to show them.
func (w *watch) named(t eventStream) eventStream {
	if w.names == nil || w.quiet {
		return t
	}
	return &namedStream{eventStream: t, names: w.names, pid: uint32(os.Getpid())}
}

// A namedStream asks for the names of remote addresses, and gives out the events
// in their order when the names are known, or a little later without them. The
// time counts from the coming of each event, so they wait together and not one
// after the other; and under load none waits.
type namedStream struct {
	eventStream
	names *hostname.Resolver
	pid   uint32 // our own
}

// A heldEvent is one that waits, with the facts that it only refers to.
type heldEvent struct {
	event whose.Event
	tcp   whose.TCPInfo
	until time.Time
}

// Each is as that of the tracker. When ctx ends, held events are given out at once.
func (s *namedStream) Each(ctx context.Context, fn func(*whose.Event) bool) error {
	taking, stop := context.WithCancel(ctx)
	defer stop()
	held := make(chan heldEvent, maxHeld)
	var err error
	go func() {
		defer close(held)
		err = s.eventStream.Each(taking, func(e *whose.Event) bool {
			s.names.Ask(e.Session.Remote.Addr(), !s.isOwn(&e.Session))
			held <- newHeldEvent(e)
			return true
		})
	}()
	enough := false
	for h := range held {
		if enough {
			continue // the stream has still to end
		}
		if h.event.Session.TCP != nil {
			h.event.Session.TCP = &h.tcp
		}
		s.wait(ctx, &h, held)
		if enough = !fn(&h.event); enough {
			stop()
		}
	}
	return err
}

// newHeldEvent copies an event that is lent.
func newHeldEvent(e *whose.Event) heldEvent {
	h := heldEvent{event: *e, until: time.Now().Add(nameWait)}
	if e.Session.TCP != nil {
		h.tcp = *e.Session.TCP
	}
	return h
}

// isOwn reports whether a session is one by which we ask. Such a session is never
// a reason to ask for a name again: each question would bring the next one.
func (s *namedStream) isOwn(session *whose.Session) bool {
	return slices.ContainsFunc(session.Owners, func(o whose.Owner) bool { return o.PID == s.pid })
}

// wait waits for the name of an event's remote address, if it is being asked for.
func (s *namedStream) wait(ctx context.Context, h *heldEvent, held <-chan heldEvent) {
	remote := h.event.Session.Remote.Addr()
	for s.names.Awaits(remote) && time.Now().Before(h.until) && len(held) < maxHeld/2 && ctx.Err() == nil {
		select {
		case <-time.After(nameLook):
		case <-ctx.Done():
		}
	}
}

// learnNames asks for the names that a summary shows, and says why it takes time.
func (w *watch) learnNames(ctx context.Context, s *tally.Summary) {
	slow := time.AfterFunc(patience, func() {
		w.sh.remark("asking for names, %v at most; Ctrl-C ends it", w.within)
	})
	defer slow.Stop()
	w.names.Learn(ctx, summaryHosts(s))
}

// summaryHosts are the addresses that the lists of a summary show.
func summaryHosts(s *tally.Summary) []netip.Addr {
	var all []netip.Addr
	for i := range s.Remotes {
		all = append(all, s.Remotes[i].Key)
	}
	for i := range s.Failures {
		all = append(all, s.Failures[i].Key.Remote.Addr())
	}
	for i := range s.Busiest {
		all = append(all, s.Busiest[i].Remote.Addr())
	}
	return all
}
