package track

import (
	"cmp"
	"slices"
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
	byID  map[uint64]*wait // by endedID
	queue []*wait
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
	g.waits.byID[e.endedID()] = w
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
		w.place = noPlace
		g.drop(p)
	}
	end := *r
	end.Text, end.Exe = nil, nil
	w.end = &end
	g.ended.add(w.entry.endedID(), r.Opened)
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
	delete(g.waits.byID, e.endedID())
	e.flags |= told
	g.tell(whose.EventOpen, e, e.opened)
	if w.end != nil {
		g.tellEnd(e, w.end)
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

// listenerOf returns the place of the listener that takes a session; noPlace
// where none is known.
func (t *table) listenerOf(e *entry) place {
	best, highest := noPlace, 0
	for _, p := range t.listeners[e.Port()] {
		if rank := t.at(p).Rank(&e.End); rank > highest {
			best, highest = p, rank
		}
	}
	return best
}

// queueOwners returns the owners of the listeners that a connection may wait
// for, by PID: those of the one that takes it, and of those that share with it.
func (g *engine) queueOwners(e *entry) []whose.Owner {
	best := g.table.listenerOf(e)
	if best == noPlace {
		return nil
	}
	l := g.table.at(best)
	var owners []whose.Owner
	sets := 0
	for _, p := range g.table.listeners[e.Port()] {
		o := g.table.at(p)
		if o.owners == 0 || !l.Shares(&o.End) {
			continue
		}
		if sets++; sets == 1 {
			owners = g.processes.owners(o.owners)
		} else {
			owners = mergeOwners(owners, g.processes.owners(o.owners))
		}
	}
	return owners
}

// mergeOwners returns the owners of both lists, each once, by PID.
func mergeOwners(a, b []whose.Owner) []whose.Owner {
	all := slices.Concat(a, b)
	slices.SortStableFunc(all, func(x, y whose.Owner) int {
		return cmp.Or(cmp.Compare(x.PID, y.PID), x.StartTime.Compare(y.StartTime))
	})
	return slices.CompactFunc(all, func(x, y whose.Owner) bool { return x.PID == y.PID && x.StartTime.Equal(y.StartTime) })
}
