package baseline

import (
	"slices"
)

// A Change is one difference between two sets.
type Change struct {
	// Was and Now are the entry before and after. A zero one: there was none.
	Was, Now Entry
	// Excused: it is on the allow list.
	Excused bool
}

// What returns "new", "gone" or "changed".
func (c *Change) What() string {
	switch {
	case c.Was == Entry{}:
		return "new"
	case c.Now == Entry{}:
		return "gone"
	}
	return "changed"
}

// entry returns the side that is there, the later one of both.
func (c *Change) entry() Entry {
	if c.Now != (Entry{}) {
		return c.Now
	}
	return c.Was
}

// Compare returns the differences between two sets, in order. An entry that has another
// user or another reach than before is one change. Where the owner of one side is
// hidden, the two are the same if all else is: nothing is called new or gone for want
// of looking.
func Compare(was, now *Set, allow *Allow) []Change {
	gone, fresh := minus(was, now), minus(now, was)
	gone, fresh = withoutHidden(gone, fresh, was, now)
	var changes []Change
	for _, e := range fresh {
		c := Change{Now: e, Excused: now.entries[e].excused}
		at := slices.IndexFunc(gone, func(g Entry) bool { return loose(g) == loose(e) })
		if at >= 0 {
			c.Was = gone[at]
			gone = slices.Delete(gone, at, at+1)
		}
		changes = append(changes, c)
	}
	for _, e := range gone {
		changes = append(changes, Change{Was: e, Excused: allow.admits(e.session())})
	}
	slices.SortStableFunc(changes, func(a, b Change) int { return a.entry().compare(b.entry()) })
	return changes
}

// loose is an entry without what may change while it stays the same thing.
func loose(e Entry) Entry {
	e.User, e.Exposure = "", 0
	return e
}

// minus returns the entries of a that b has not.
func minus(a, b *Set) []Entry {
	return slices.DeleteFunc(a.Entries(), b.Has)
}

// withoutHidden leaves out what may be the same behind a hidden owner.
func withoutHidden(gone, fresh []Entry, was, now *Set) ([]Entry, []Entry) {
	hiddenWas, hiddenNow := was.hidden(), now.hidden()
	seen := func(s *Set) map[Entry]bool {
		all := make(map[Entry]bool, len(s.entries))
		for e := range s.entries {
			all[nameless(e)] = true
		}
		return all
	}
	everWas, everNow := seen(was), seen(now)
	gone = slices.DeleteFunc(gone, func(e Entry) bool {
		return hiddenNow[nameless(e)] || e.Workload == "" && everNow[nameless(e)]
	})
	fresh = slices.DeleteFunc(fresh, func(e Entry) bool {
		return hiddenWas[nameless(e)] || e.Workload == "" && everWas[nameless(e)]
	})
	return gone, fresh
}

// hidden returns the entries without a known owner.
func (s *Set) hidden() map[Entry]bool {
	all := make(map[Entry]bool)
	for e := range s.entries {
		if e.Workload == "" {
			all[e] = true
		}
	}
	return all
}

func nameless(e Entry) Entry {
	e.Workload = ""
	return e
}
