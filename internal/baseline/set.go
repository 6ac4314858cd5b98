package baseline

import (
	"slices"

	"github.com/seed-44df2ae6/whose"
)

// maxEntries bounds a set. A host has a few hundred; a stranger may open more.
const maxEntries = 1 << 16

// A Set holds the entries of one listing.
type Set struct {
	entries map[Entry]*found
	// Left counts the sessions that a full set left out.
	Left int
}

// found is what is known of an entry beside its key.
type found struct {
	// excused: each session of the entry is on the allow list.
	excused bool
}

// Len returns the number of entries.
func (s *Set) Len() int { return len(s.entries) }

// Has reports whether the set has an entry.
func (s *Set) Has(e Entry) bool { return s.entries[e] != nil }

// Add adds the entry of a session, if it makes one. The allow list may be nil.
func (s *Set) Add(r *Rule, session *whose.Session, allow *Allow) {
	if e, ok := r.Entry(session); ok {
		s.add(e, allow.admits(session))
	}
}

func (s *Set) add(e Entry, excused bool) {
	if s.entries == nil {
		s.entries = make(map[Entry]*found)
	}
	switch f := s.entries[e]; {
	case f != nil:
		f.excused = f.excused && excused
	case len(s.entries) == maxEntries:
		s.Left++
	default:
		s.entries[e] = &found{excused: excused}
	}
}

// Entries returns the entries in order.
func (s *Set) Entries() []Entry {
	all := make([]Entry, 0, len(s.entries))
	for e := range s.entries {
		all = append(all, e)
	}
	slices.SortFunc(all, Entry.compare)
	return all
}
