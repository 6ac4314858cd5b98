package collect

import (
	"iter"
	"slices"

	"github.com/seed-44df2ae6/whose"
)

// An Answer is the result of one collection: its sessions, in order, and the
// account of what was seen.
//
// It may be read as often as wanted, and by several goroutines at once. It holds
// buffers of its collector until Close; an answer that is dropped without is
// garbage like any other value. Sessions that were taken from it stay valid and
// are never written again.
type Answer struct {
	// Coverage says what was seen, what was not, and why.
	Coverage whose.Coverage

	collector *Collector
	pass      *pass
}

// Len returns the number of sessions; 0 after Close.
func (a *Answer) Len() int {
	if a.pass == nil {
		return 0
	}
	return len(a.pass.order.places)
}

// Sessions returns the sessions, in order. Each is made when the iteration comes
// to it.
func (a *Answer) Sessions() iter.Seq[whose.Session] {
	return func(yield func(whose.Session) bool) {
		if a.pass == nil {
			return
		}
		m := a.pass.out
		var s whose.Session
		for _, p := range a.pass.order.places {
			m.session(p.at, &s)
			if !yield(s) {
				return
			}
		}
	}
}

// Append appends the sessions to dst, in order.
func (a *Answer) Append(dst []whose.Session) []whose.Session {
	if a.pass == nil {
		return dst
	}
	m := a.pass.out
	places := a.pass.order.places
	begin := len(dst)
	dst = slices.Grow(dst, len(places))[:begin+len(places)]
	for i := range places {
		m.session(places[i].at, &dst[begin+i])
	}
	return dst
}

// Close gives the buffers back to the collector, which uses them again. The
// answer then has no sessions. Closing it again does nothing.
func (a *Answer) Close() {
	if a.pass != nil {
		a.collector.giveBack(a.pass)
		a.pass = nil
	}
}
