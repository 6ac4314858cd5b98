package collect

import (
	"iter"
	"slices"

	"github.com/seed-44df2ae6/whose"
)

// An Answer is the result of one collection: its sessions, in order, and the
// account of everything seen and missed.
//
// It may be read many times, and by several goroutines at once. It holds
// buffers of its collector until [Answer.Close]. An answer dropped without
// Close is garbage like any other value. Sessions taken from it stay valid and
// are never written again.
type Answer struct {
	// Coverage accounts for everything seen and missed, with the causes.
	Coverage whose.Coverage

	collector *Collector
	stages    *stages
}

// Len returns the number of sessions; 0 after Close.
func (a *Answer) Len() int {
	if a.stages == nil {
		return 0
	}
	return len(a.stages.chosen.places)
}

// Doubtful reports whether the number of sessions may be wrong for want of owners:
// the filter asks for owners, and some are hidden that might have met it. A caller
// who may not trace the processes of others is always in doubt, since a session
// with a known owner may have a hidden one too. After Close there is no doubt.
func (a *Answer) Doubtful() bool {
	switch {
	case a.stages == nil || a.stages.gathered.plan.doubt == nil || !a.Coverage.Gaps.HasKind(whose.GapProcesses):
		return false
	case !mayTrace():
		return true
	}
	return a.stages.described.doubtful
}

// Sessions returns the sessions, in order. Each is made when the iteration comes
// to it.
func (a *Answer) Sessions() iter.Seq[whose.Session] {
	return func(yield func(whose.Session) bool) {
		if a.stages == nil {
			return
		}
		m := newMaker(&a.stages.described)
		var s whose.Session
		places := a.stages.chosen.places
		for i, at := range places {
			if i%together == 0 {
				m.ahead(places[i:min(i+together, len(places))])
			}
			m.session(at, &s)
			if !yield(s) {
				return
			}
		}
	}
}

// Reader returns a function that reads session i of the answer, from 0 to
// [Answer.Len]-1. It is for loops over many sessions, on several goroutines each
// with a reader of its own: no session is copied and none allocates. The next
// call overwrites the session and its lists of owners; the processes stay valid.
// Do not call it after Close.
func (a *Answer) Reader() func(i int) *whose.Session {
	r := new(reader)
	if a.stages != nil {
		r.maker, r.places = newMaker(&a.stages.described), a.stages.chosen.places
	}
	return r.session
}

// OtherEnds returns a function that returns the place in the answer of the other end
// of session i, from 0 to [Answer.Len]-1. It returns -1 if that end is not on this
// host or not in the answer, or if the options did not need other ends
// ([whose.NeedPeer]). Where addresses are used in several network namespaces, one
// session may be the other end of many. Do not call it after Close.
func (a *Answer) OtherEnds() func(i int) int {
	if a.stages == nil || len(a.stages.derived.peer) == 0 {
		return func(int) int { return -1 }
	}
	places, peer := a.stages.chosen.places, a.stages.derived.peer
	in := make([]uint32, len(peer)) // the place in the answer plus one, by socket
	for i, at := range places {
		in[at] = uint32(i + 1)
	}
	return func(i int) int {
		other := peer[places[i]]
		if other == 0 {
			return -1
		}
		return int(in[other-1]) - 1
	}
}

// A reader makes the sessions of an answer in one place.
type reader struct {
	maker  maker
	places []uint32
	one    whose.Session
}

func (r *reader) session(i int) *whose.Session {
	if i%together == 0 {
		r.maker.ahead(r.places[i:min(i+together, len(r.places))])
	}
	r.maker.borrow(r.places[i], &r.one)
	return &r.one
}

// Append appends the sessions to dst, in order.
func (a *Answer) Append(dst []whose.Session) []whose.Session {
	if a.stages == nil {
		return dst
	}
	m := newMaker(&a.stages.described)
	places := a.stages.chosen.places
	begin := len(dst)
	dst = slices.Grow(dst, len(places))[:begin+len(places)]
	for i, at := range places {
		if i%together == 0 {
			m.ahead(places[i:min(i+together, len(places))])
		}
		m.session(at, &dst[begin+i])
	}
	return dst
}

// Close gives the buffers back to the collector, which uses them again. The
// answer then has no sessions. Closing it again does nothing.
func (a *Answer) Close() {
	if a.stages != nil {
		a.collector.giveBack(a.stages)
		a.stages = nil
	}
}

// account returns the coverage of the answer.
func (s *stages) account() whose.Coverage {
	c := s.gathered.coverage
	c.Sessions, c.OtherStates = len(s.chosen.places), s.chosen.others
	if !c.OwnersAsked {
		return c
	}
	for _, at := range s.chosen.places {
		if r := s.derived.reason[at]; r == whose.ReasonNone {
			c.Owned++
		} else {
			c.Ownerless[r]++
		}
	}
	return c
}
