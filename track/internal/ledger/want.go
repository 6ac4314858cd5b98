package ledger

import (
	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
)

// A Want selects the sessions and events for the caller.
type Want struct {
	// Match is the filter, nil for none.
	Match    *filter.Matcher
	Protos   whose.Set[whose.Proto]
	Families whose.Set[whose.Family]
	// NetNS selects network namespaces by number and name; nil: all.
	NetNS func(inode uint32, name string) bool
	// Kinds are the wanted kinds of events.
	Kinds whose.Set[whose.EventKind]
	Needs whose.Needs
	// Late: the filter needs facts known only when an event is emitted. It then
	// applies to each event and not to the session.
	Late bool
}

// everything reports whether every session is wanted.
func (w *Want) everything() bool {
	return (w.Match == nil || w.Late) && w.Protos == whose.AllProtos && w.Families == whose.AllFamilies && w.NetNS == nil
}
