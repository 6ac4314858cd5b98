package ledger

import "github.com/seed-44df2ae6/whose"

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
	if e.owners == 0 && e.reason == whose.ReasonAcceptQueue && !e.is(ended) {
		return v.queueOwners(e)
	}
	return v.processes.owners(e.owners)
}
