package ledger

import (
	"time"

	"github.com/seed-44df2ae6/whose"
)

// A book is the state of an engine: the live table, and the knowledge of owners
// and reported sessions. Its methods keep the parts in line.
type book struct {
	clock
	view
	want   Want
	peers  peers
	outbox outbox
	// pending are the connections that nobody accepted yet.
	pending pendingAccepts
	// ended are the sessions that ended last, ceased the listeners.
	ended  endedSet
	ceased ceasedListeners
	// lost counts the sessions that found no room in the table.
	lost uint64
	// HealAfter is the time for which a session must be missing, or be present
	// unreported, before its record counts as lost.
	HealAfter time.Duration
	// asked is the session given to a filter.
	asked whose.Session
}

// A clock relates the times of records to the wall clock. Times of the boot
// clock are in nanoseconds.
type clock struct {
	// Base is the wall clock at boot, Began the boot clock when following began.
	Base  int64
	Began uint64
	// now is the boot clock at the current record or snapshot.
	now uint64
}

// assign changes the owners of a session, in the table or not yet in it.
func (b *book) assign(e *entry, set setID) {
	e.owners = set
	if set != 0 {
		e.reason = whose.ReasonNone
	}
	b.rematch(e)
}

// rematch applies the filter to a session again, after its facts have changed.
func (b *book) rematch(e *entry) {
	if b.want.everything() {
		if !e.is(inUse) {
			e.flags |= wanted
		}
		return
	}
	meets := b.meets(e)
	if e.is(inUse) {
		b.table.change(e, func(e *entry) { e.setFlag(wanted, meets) })
	} else {
		e.setFlag(wanted, meets)
	}
}

// insert puts a session into the table. Where there is no room the session is
// still reported, and remembered as reported for as long as possible.
func (b *book) insert(e *entry) place {
	b.names.meet(e)
	b.rematch(e)
	p, ok := b.table.add(e)
	if !ok {
		b.lost++
		b.ended.add(e.endedID(), ^e.opened)
	}
	return p
}

// drop takes a session out of the table and remembers that it ended.
func (b *book) drop(p place) {
	e := b.table.at(p)
	b.pending.cancel(e, p)
	if e.State == whose.Listen {
		b.ceased.add(e, b.now)
	}
	b.ended.add(e.endedID(), e.opened)
	if e.is(linked) && b.peers.shown {
		b.peers.recent.add(e, b.owners(e), b.now)
	}
	b.table.remove(p)
}

// lookup finds the session of a record by its cookie, or by its ends if a
// snapshot did not know the cookie.
func (b *book) lookup(e *entry) (place, bool) {
	if p, ok := b.table.find(e); ok {
		return p, true
	}
	if b.table.ends.Len() == 0 {
		return noPlace, false
	}
	nameless := *e
	nameless.cookie = 0
	return b.table.find(&nameless)
}

// open puts a session into the table and emits that it opened.
func (b *book) open(e *entry, at uint64) place {
	return b.enter(e, whose.EventOpen, at)
}

// enter puts a session into the table and emits an event of the kind.
func (b *book) enter(e *entry, kind whose.EventKind, at uint64) place {
	e.flags |= told
	p := b.insert(e)
	if p == noPlace {
		b.outbox.emit(kind, e, at)
		return p
	}
	b.outbox.emit(kind, b.table.at(p), at)
	return p
}

// defaultHealAfter exceeds the delay of a record on any machine that still
// runs. Nothing is in a hurry here.
const defaultHealAfter = 5 * time.Second

// miss notes that a session was not found in its place, and reports whether it
// has been missing for long enough.
func (b *book) miss(e *entry) bool {
	if e.missed == 0 {
		e.missedAt = b.now
	}
	e.missed = min(e.missed+1, 2)
	return e.missed > 1 && time.Duration(b.now-e.missedAt) >= b.HealAfter
}

// vanish removes a session whose end was not reported.
func (b *book) vanish(p place, at uint64) {
	e := b.table.at(p)
	switch e.State {
	case whose.Listen:
		b.outbox.emitGone(whose.EventUnlisten, e, at)
	case whose.Unconn: // no kind of event reports it
	default:
		b.outbox.emitGone(whose.EventClose, e, at)
	}
	b.drop(p)
}

// meets reports whether a session is wanted.
func (b *book) meets(e *entry) bool {
	w := &b.want
	if !w.Protos.Has(e.Proto) || !w.Families.Has(e.Family) {
		return false
	}
	if w.NetNS != nil && !w.NetNS(e.NetNS, b.names.netnsName(e.NetNS)) {
		return false
	}
	if w.Match == nil || w.Late {
		return true
	}
	b.session(e, &b.asked)
	return w.Match.Match(&b.asked)
}
