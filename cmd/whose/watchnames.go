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
	// nameWait is the longest wait of an event for the name of its remote address,
	// and nameLook the interval of its looks. A near name server answers in this
	// time, and no watcher notices it.
	nameWait, nameLook = 100 * time.Millisecond, 2 * time.Millisecond
	// maxHeld is the number of events held. From half of it on none waits for a
	// name.
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

// A namedStream asks for the names of remote addresses. It emits the events in
// their order when the names are known, or a little later without them. The time
// counts from the arrival of each event, so they wait together and not one after
// the other. Under load none waits.
type namedStream struct {
	eventStream
	names *hostname.Resolver
	pid   uint32 // our own
}

// A heldEvent is a waiting event, with its own copy of all facts.
type heldEvent struct {
	event whose.Event
	tcp   whose.TCPInfo
	until time.Time
}

// Each is like the tracker's. When ctx ends, it emits held events at once.
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
			continue // the end of the stream is still to come
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

// newHeldEvent copies a lent event.
func newHeldEvent(e *whose.Event) heldEvent {
	h := heldEvent{event: *e, until: time.Now().Add(nameWait)}
	if e.Session.TCP != nil {
		h.tcp = *e.Session.TCP
	}
	return h
}

// isOwn reports whether a session carries our own questions. Such a session
// never causes a question for a name: each question would bring the next one.
func (s *namedStream) isOwn(session *whose.Session) bool {
	return slices.ContainsFunc(session.Owners, func(o whose.Owner) bool { return o.PID == s.pid })
}

// wait waits for the name of an event's remote address, if a question for it is
// out.
func (s *namedStream) wait(ctx context.Context, h *heldEvent, held <-chan heldEvent) {
	remote := h.event.Session.Remote.Addr()
	for s.names.Awaits(remote) && time.Now().Before(h.until) && len(held) < maxHeld/2 && ctx.Err() == nil {
		select {
		case <-time.After(nameLook):
		case <-ctx.Done():
		}
	}
}

// learnNames asks for the names in a summary, and reports why it takes time.
func (w *watch) learnNames(ctx context.Context, s *tally.Summary) {
	slow := time.AfterFunc(patience, func() {
		w.sh.remark("asking for names, %v at most; Ctrl-C ends it", w.within)
	})
	defer slow.Stop()
	w.names.Learn(ctx, summaryHosts(s))
}

// summaryHosts returns the addresses in the lists of a summary.
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
