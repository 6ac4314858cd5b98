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

// session makes the session of an entry. It allocates nothing: owners are
// shared by all sessions of the same ones.
func (v *view) session(e *entry, s *whose.Session) {
	v.facts(e, s)
	v.names.name(e, s)
}

// facts makes the session without the names of numbers. It writes each fact
// but names and TCP figures, and so need not clear what was there: this is the
// hot loop of Count.
func (v *view) facts(e *entry, s *whose.Session) {
	e.write(s)
	s.Owners = v.owners(e)
}

// owners returns the owners that a session is shown with: its own, or
// those of the listener that has yet to accept it.
func (v *view) owners(e *entry) []whose.Owner {
	if e.owners == 0 && e.reason == whose.ReasonAcceptQueue {
		return v.queueOwners(e)
	}
	return v.processes.owners(e.owners)
}

// queueOwners returns the owners of the listeners that a connection may wait
// for, by PID: those of the one that takes it, and of those that share with it.
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
