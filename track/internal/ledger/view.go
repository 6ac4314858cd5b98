package ledger

import (
	"cmp"
	"slices"

	"github.com/seed-44df2ae6/whose"
)

// A view shows entries as sessions.
type view struct {
	table     *table
	processes *processes
	names     *Names
}

// session makes the session of an entry. It allocates nothing: sessions with
// the same owners share them.
func (v *view) session(e *entry, s *whose.Session) {
	v.facts(e, s)
	v.names.name(e, s)
}

// facts makes the session without the names of numbers. It writes every fact
// except names and TCP figures, so s need not be cleared first. This is the hot
// loop of Count.
func (v *view) facts(e *entry, s *whose.Session) {
	e.write(s)
	s.Owners = v.owners(e)
}

// owners returns the owners shown with a session: its own or, for a pending
// accept, those of its listener.
func (v *view) owners(e *entry) []whose.Owner {
	if e.owners == 0 && e.reason == whose.ReasonAcceptQueue {
		return v.queueOwners(e)
	}
	return v.processes.owners(e.owners)
}

// queueOwners returns the owners of the listeners of a pending accept, by PID:
// those of the listener that takes the connection, and of those sharing with
// it.
func (v *view) queueOwners(e *entry) []whose.Owner {
	best := v.table.listenerOf(e)
	if best == noPlace {
		return nil
	}
	l := v.table.at(best)
	var owners []whose.Owner
	sets := 0
	for _, p := range v.table.listeners[e.Port()] {
		o := v.table.at(p)
		if o.owners == 0 || !l.Shares(&o.End) {
			continue
		}
		if sets++; sets == 1 {
			owners = v.processes.owners(o.owners)
		} else {
			owners = mergeOwners(owners, v.processes.owners(o.owners))
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
