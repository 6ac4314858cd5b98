package ledger

import (
	"cmp"
	"slices"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/pair"
	"github.com/seed-44df2ae6/whose/track/internal/bpfevent"
)

// This file names the owners of a connection in an accept queue: those of the
// listeners that may have it there. A connection ends with its listener, unless
// the kernel moves it to another of the group (net.ipv4.tcp_migrate_req). The
// listener's record comes first and theirs right behind it, so the ledger
// remembers the last listeners that ceased.

// queueOwners returns the owners of the listeners of a connection that waits, by
// PID: of all that stand and may have it, as a listing names them.
func (v *view) queueOwners(e *entry) []whose.Owner {
	owners, _ := v.ownersAmong(e, func(*entry) bool { return true })
	return owners
}

// ownersSince considers only the listeners that stood when the connection
// opened: a program that starts again does not own the queue of the one before.
func (v *view) ownersSince(e *entry) (owners []whose.Owner, found bool) {
	return v.ownersAmong(e, func(l *entry) bool { return l.is(since) || l.opened <= e.opened })
}

// ownersAmong returns the owners of the standing listener that takes a
// connection, and of those sharing with it, and whether there is one.
func (v *view) ownersAmong(e *entry, may func(l *entry) bool) (owners []whose.Owner, found bool) {
	listeners := v.table.listeners[e.Port()]
	var best *entry
	highest := 0
	for _, p := range listeners {
		if l := v.table.at(p); may(l) {
			if rank := l.Rank(&e.End); rank > highest {
				best, highest = l, rank
			}
		}
	}
	if best == nil {
		return nil, false
	}
	sets := 0
	for _, p := range listeners {
		l := v.table.at(p)
		if l.owners == 0 || !best.Shares(&l.End) || !may(l) {
			continue
		}
		if sets++; sets == 1 {
			owners = v.processes.owners(l.owners)
		} else {
			owners = mergeOwners(owners, v.processes.owners(l.owners))
		}
	}
	return owners, true
}

// mergeOwners returns the owners of both lists, each once, by PID.
func mergeOwners(a, b []whose.Owner) []whose.Owner {
	all := slices.Concat(a, b)
	slices.SortStableFunc(all, func(x, y whose.Owner) int {
		return cmp.Or(cmp.Compare(x.PID, y.PID), x.StartTime.Compare(y.StartTime))
	})
	return slices.CompactFunc(all, func(x, y whose.Owner) bool { return x.PID == y.PID && x.StartTime.Equal(y.StartTime) })
}

// maxCeased bounds the listeners remembered after they ceased.
const maxCeased = 256

// ceasedListeners are the listeners that ceased last, the oldest overwritten by
// the next. The zero value is empty and ready.
type ceasedListeners struct {
	all  []ceasedListener
	next int
}

// A ceasedListener stood until gone, by the boot clock.
type ceasedListener struct {
	pair.End
	owners setID
	gone   uint64
}

func (c *ceasedListeners) add(l *entry, now uint64) {
	one := ceasedListener{l.End, l.owners, now}
	if len(c.all) < maxCeased {
		c.all = append(c.all, one)
		return
	}
	c.all[c.next] = one
	c.next = (c.next + 1) % maxCeased
}

// each calls fn for the listeners that may have had a connection at their end,
// the last first, until fn returns false.
func (c *ceasedListeners) each(e *entry, fn func(*ceasedListener) bool) {
	port := e.Port()
	for i := range c.all {
		l := &c.all[(c.next+len(c.all)-1-i)%len(c.all)]
		stood := e.is(since) || e.opened <= l.gone
		if stood && l.Port() == port && l.Rank(&e.End) > 0 && !fn(l) {
			return
		}
	}
}

// ownersOfCeased returns the owners of the listener that a connection ended
// with: the last that ceased. Where several cease at once, the process that
// ended this one decides. False: none is known.
func (b *book) ownersOfCeased(e *entry, ender setID) (set setID, found bool) {
	b.ceased.each(e, func(l *ceasedListener) bool {
		if !found {
			set, found = l.owners, true
		}
		if ender == 0 || !b.processes.has(l.owners, ender) {
			return ender != 0
		}
		set = l.owners
		return false
	})
	return set, found
}

// endQueued gives a connection that ended in an accept queue the owners of its
// listener. If they ended together, the listener has ceased just before.
func (b *book) endQueued(e *entry, r *bpfevent.Record) {
	var set setID
	if !r.Queued {
		set = b.processes.setOf(b.queueOwners(e))
	} else if ceased, found := b.ownersOfCeased(e, b.taskSet(r)); found {
		set = ceased
	} else if owners, found := b.ownersSince(e); found { // the record of the listener's end was lost
		set = b.processes.setOf(owners)
	}
	if set == 0 && e.reason == whose.ReasonAcceptQueue {
		set = e.owners // as a snapshot had it
	}
	e.owners, e.reason = set, whose.ReasonAcceptQueue
	e.flags |= ended
	b.rematch(e)
}
