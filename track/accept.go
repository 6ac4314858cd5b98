package track

import (
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/track/internal/bpfevent"
)

const (
	// acceptPatience is how long the opening of a connection that came in
	// waits for its process. Servers accept within a fraction of it.
	acceptPatience = time.Second
	// maxWaits bounds the connections that wait; one more, and the oldest is
	// told as it is.
	maxWaits = 1 << 16
)

// waits holds the connections that came in and were not accepted yet, in the
// order in which they came.
type waits struct {
	byCookie map[uint64]*wait
	queue    []*wait
	// spare are those that are done, to be used again.
	spare []*wait
}

// A wait is a connection whose opening was not told yet, since its process is
// not known. It is in the table until it ends, which it may before it is
// accepted.
type wait struct {
	// entry is the session where it is not in the table: it ended, or there
	// was no room.
	entry    entry
	place    place
	deadline uint64
	done     bool
	// end is the record of its end, nil before that.
	end *bpfevent.Record
}

// await keeps a connection until it is accepted or acceptPatience has passed.
func (g *engine) await(e *entry, at uint64) {
	e.reason = whose.ReasonAcceptQueue
	w := g.waits.new()
	*w = wait{deadline: at + uint64(acceptPatience)}
	w.place = g.insert(e)
	w.entry = *e
	g.waits.byCookie[e.cookie] = w
	g.waits.queue = append(g.waits.queue, w)
	if len(g.waits.queue) > maxWaits {
		g.tellWaiting(g.waits.queue[0])
	}
	g.waits.shrink()
}

// maxSpareWaits bounds those that are kept to be used again.
const maxSpareWaits = 1024

func (w *waits) new() *wait {
	if n := len(w.spare); n > 0 {
		one := w.spare[n-1]
		w.spare = w.spare[:n-1]
		return one
	}
	return &wait{}
}

// shrink drops what is done from the head of the queue.
func (w *waits) shrink() {
	for len(w.queue) > 0 && w.queue[0].done {
		if len(w.spare) < maxSpareWaits {
			w.spare = append(w.spare, w.queue[0])
		}
		w.queue[0] = nil
		w.queue = w.queue[1:]
	}
	if len(w.queue) == 0 {
		w.queue = w.queue[:0]
	}
}

// waiting returns the entry of a waiting connection.
func (g *engine) waiting(w *wait) *entry {
	if w.place != noPlace {
		return g.table.at(w.place)
	}
	return &w.entry
}

// acceptWaiting: a connection that waits was accepted. It may have ended
// before that.
func (g *engine) acceptWaiting(w *wait, r *bpfevent.Record) {
	e := g.waiting(w)
	e.flags |= accepted
	if e.inode == 0 {
		e.inode = r.Inode
	}
	if set := g.ownersOf(r); set != 0 {
		g.setOwners(e, set)
	} else {
		e.reason = whose.ReasonNone
		g.give(e, r) // says why nobody is named
	}
	g.tellWaiting(w)
	g.waits.shrink()
}

// closeWaiting: a connection that waits ended. Its record may know who
// accepted it; else that may still be told.
func (g *engine) closeWaiting(w *wait, r *bpfevent.Record) {
	if w.end != nil {
		return // told twice
	}
	if w.place != noPlace {
		p := w.place
		w.entry = *g.table.at(p)
		w.entry.flags &^= inUse | linked
		g.people.hold(w.entry.owners)
		w.place = noPlace
		g.drop(p)
	}
	end := *r
	end.Text, end.Exe = nil, nil
	w.end = &end
	g.ended.add(r.Cookie, r.Opened)
	if set := g.ownersOf(r); set != 0 || r.Accepted {
		if set != 0 {
			g.setOwners(&w.entry, set)
		}
		g.tellWaiting(w)
		g.waits.shrink()
	}
}

// tellWaiting tells of a waiting connection what is known by now.
func (g *engine) tellWaiting(w *wait) {
	e := g.waiting(w)
	w.done = true
	delete(g.waits.byCookie, e.cookie)
	e.flags |= told
	g.tell(whose.EventOpen, e, e.opened)
	if w.end != nil {
		g.tellEnd(e, w.end)
	}
	if w.place == noPlace {
		g.people.release(e.owners)
	}
}

// expire tells of the connections that have waited long enough, and returns
// when the next one will have; 0 for none.
func (g *engine) expire(now uint64) (next uint64) {
	g.now = max(g.now, now)
	for {
		g.waits.shrink()
		switch {
		case len(g.waits.queue) == 0:
			return 0
		case g.waits.queue[0].deadline > now:
			return g.waits.queue[0].deadline
		}
		g.tellWaiting(g.waits.queue[0])
	}
}

// listenerOwners returns the owners of the listener that takes connections to
// the local end of e; the empty set where none is known.
func (g *engine) listenerOwners(e *entry) setID {
	var best setID
	for _, p := range g.table.listeners[listenKey{e.netns, e.localPort}] {
		l := g.table.at(p)
		switch {
		case l.owners == 0:
		case l.local == e.local:
			return l.owners
		case l.takes(e):
			best = l.owners
		}
	}
	return best
}

// listenedOn reports whether a listener takes connections to the local end of e.
func (g *engine) listenedOn(e *entry) bool {
	for _, p := range g.table.listeners[listenKey{e.netns, e.localPort}] {
		if l := g.table.at(p); l.local == e.local || l.takes(e) {
			return true
		}
	}
	return false
}

// takes reports whether a listener on the unspecified address accepts what
// comes to the local address of e.
func (l *entry) takes(e *entry) bool {
	switch l.local {
	case anyIPv4:
		return isMapped(&e.local)
	case anyIPv6:
		return !isMapped(&e.local) || !l.is(v6only)
	}
	return false
}
