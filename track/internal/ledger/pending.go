package ledger

import (
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/track/internal/bpfevent"
)

const (
	// acceptPatience is the wait of a pending accept for its process. Servers
	// accept within a fraction of it.
	acceptPatience = time.Second
	// maxPending bounds the pending accepts. One more, and the oldest is reported
	// as it is.
	maxPending = 1 << 16
)

// pendingAccepts are the connections that came in and were not accepted yet, in
// the order of arrival.
type pendingAccepts struct {
	byID  map[uint64]*pendingAccept // by endedID
	queue []*pendingAccept
	// spare are finished ones, for reuse.
	spare []*pendingAccept
}

// A pendingAccept is a connection whose opening is not reported yet, since its
// process is unknown. It is in the table until it ends, perhaps before it is
// accepted.
type pendingAccept struct {
	// entry is the session if it is not in the table: it ended, or there was no
	// room.
	entry    entry
	place    place
	deadline uint64
	done     bool
	// end is the record of its end, nil before it.
	end *bpfevent.Record
}

// await keeps a connection until it is accepted or acceptPatience has passed.
func (g *Engine) await(e *entry, at uint64) {
	e.reason = whose.ReasonAcceptQueue
	w := g.pending.new()
	*w = pendingAccept{deadline: at + uint64(acceptPatience)}
	w.place = g.insert(e)
	w.entry = *e
	g.pending.byID[e.endedID()] = w
	g.pending.queue = append(g.pending.queue, w)
	if len(g.pending.queue) > maxPending {
		g.emitPending(g.pending.queue[0])
	}
	g.pending.shrink()
}

// maxSparePending bounds the pending accepts kept for reuse.
const maxSparePending = 1024

func (w *pendingAccepts) new() *pendingAccept {
	if n := len(w.spare); n > 0 {
		one := w.spare[n-1]
		w.spare = w.spare[:n-1]
		return one
	}
	return &pendingAccept{}
}

// shrink drops the finished ones from the head of the queue.
func (w *pendingAccepts) shrink() {
	for len(w.queue) > 0 && w.queue[0].done {
		if len(w.spare) < maxSparePending {
			w.spare = append(w.spare, w.queue[0])
		}
		w.queue[0] = nil
		w.queue = w.queue[1:]
	}
	if len(w.queue) == 0 {
		w.queue = w.queue[:0]
	}
}

// cancel forgets a pending accept that leaves the table unreported.
func (w *pendingAccepts) cancel(e *entry, p place) {
	if one := w.byID[e.endedID()]; one != nil && one.place == p {
		one.done = true
		delete(w.byID, e.endedID())
	}
}

// pendingEntry returns the entry of a pending accept.
func (g *Engine) pendingEntry(w *pendingAccept) *entry {
	if w.place != noPlace {
		return g.table.at(w.place)
	}
	return &w.entry
}

// acceptPending: a pending connection was accepted. It may have ended before.
func (g *Engine) acceptPending(w *pendingAccept, r *bpfevent.Record) {
	e := g.pendingEntry(w)
	e.flags |= accepted
	if e.inode == 0 {
		e.inode = r.Inode
	}
	if set := g.ownersOf(r); set != 0 {
		g.assign(e, set)
	} else {
		e.owners, e.reason = 0, whose.ReasonNone
		g.assignBy(e, r) // sets the reason for no owner
	}
	g.emitPending(w)
	g.pending.shrink()
}

// closePending: a pending connection ended. Its record may know who accepted
// it; otherwise a later record may.
func (g *Engine) closePending(w *pendingAccept, r *bpfevent.Record) {
	if w.end != nil {
		return // a repeat
	}
	if w.place != noPlace {
		p := w.place
		w.entry = *g.table.at(p)
		w.entry.flags &^= inUse | linked
		w.place = noPlace
		g.drop(p)
	}
	end := *r
	end.Text, end.Exe = nil, nil
	w.end = &end
	g.ended.add(w.entry.endedID(), r.Opened)
	set := g.ownersOf(r)
	switch {
	case set != 0:
		g.assign(&w.entry, set)
	case r.Accepted:
	default:
		g.endQueued(&w.entry, r)
		if !r.Queued {
			return // a process may accept its remainder
		}
	}
	g.emitPending(w)
	g.pending.shrink()
}

// emitPending emits the opening of a pending connection, and its end if it has
// ended, as known by now.
func (g *Engine) emitPending(w *pendingAccept) {
	e := g.pendingEntry(w)
	w.done = true
	delete(g.pending.byID, e.endedID())
	e.flags |= told
	g.outbox.emit(whose.EventOpen, e, e.opened)
	if w.end != nil {
		g.outbox.emitEnd(e, w.end)
	}
}

// Expire emits the connections that have waited long enough. It returns the
// next time to call it; 0 for none.
func (g *Engine) Expire(now uint64) (next uint64) {
	g.now = max(g.now, now)
	for {
		g.pending.shrink()
		switch {
		case len(g.pending.queue) == 0:
			return 0
		case g.pending.queue[0].deadline > now:
			return g.pending.queue[0].deadline
		}
		g.emitPending(g.pending.queue[0])
	}
}
