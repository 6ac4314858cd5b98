package ledger

import (
	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
)

// A Want is what the caller wants to be told.
type Want struct {
	// Match is the filter, nil for none.
	Match    *filter.Matcher
	Protos   whose.Set[whose.Proto]
	Families whose.Set[whose.Family]
	// NetNS chooses network namespaces by number and name; nil: all.
	NetNS func(inode uint32, name string) bool
	// Kinds are the kinds of events.
	Kinds whose.Set[whose.EventKind]
	Needs whose.Needs
	// Late tells that the filter names what is only known when an event is given
	// out, so that it is asked of each event and not of the session.
	Late bool
}

// everything reports whether every session is wanted.
func (w *Want) everything() bool {
	return (w.Match == nil || w.Late) && w.Protos == whose.AllProtos && w.Families == whose.AllFamilies && w.NetNS == nil
}
