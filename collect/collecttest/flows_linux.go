package collecttest

import (
	"testing"

	"github.com/seed-44df2ae6/whose"
)

// flowStates are the states in which both numbers of a connection are known to a
// socket, and may be shown: its handshake is over.
const flowStates = whose.Set[whose.State](1<<whose.Established | 1<<whose.FinWait1 | 1<<whose.FinWait2 |
	1<<whose.CloseWait | 1<<whose.LastAck | 1<<whose.Closing)

// mayHaveFlow reports whether the source bpf may know the flow id of a session, and
// hasFlow whether it has to.
func mayHaveFlow(s *whose.Session) bool { return isTCP(s) && flowStates.Has(s.State) }

func hasFlow(s *whose.Session) bool {
	switch {
	case !mayHaveFlow(s):
		return false
	case s.State == whose.FinWait2 && s.Inode == 0:
		return false // often no more than a TIME_WAIT
	case s.Proto == whose.MPTCP && s.State != whose.Established:
		return false // its first subflow may have ended
	}
	return !kernelBefore(6, 18) || s.SendQueue == 0 // else the side may not be certain
}

// checkFlows holds the flow ids of all sessions of a case against each other: both
// ends of a connection have the same, no other session has it, and a source that
// does not know them has none.
func (c *caught) checkFlows(t *testing.T) {
	t.Helper()
	opts := everything()
	opts.Needs = whose.NeedDefault | whose.NeedFlow
	sessions, _ := c.again(t, opts)
	ours := c.ours(sessions)
	byFlow := make(map[uint64][]whose.Session)
	for _, s := range ours {
		switch {
		case c.source == "bpf" && s.Flow == 0 && hasFlow(&s) && !c.noFlow:
			t.Errorf("%v to %v in %v: no flow id", s.Local, s.Remote, s.State)
		case s.Flow == 0:
		case c.source != "bpf" && c.source != BeforeWalk && c.source != Agent, !mayHaveFlow(&s):
			t.Errorf("%v to %v in %v: flow id %x, want none from %s", s.Local, s.Remote, s.State, s.Flow, c.source)
		default:
			byFlow[s.Flow] = append(byFlow[s.Flow], s)
		}
	}
	for id, ends := range byFlow {
		if len(ends) > 2 {
			t.Errorf("%d sessions have the flow id %x", len(ends), id)
		}
	}
	for _, s := range ours {
		for _, o := range ours {
			faces := s.Flow != 0 && o.Flow != 0 && s.NetNS == o.NetNS && s.Proto == o.Proto && s.Local == o.Remote && s.Remote == o.Local
			if faces && s.Local != s.Remote && s.Flow != o.Flow {
				t.Errorf("%v to %v: flow id %x in %v, and %x at its other end in %v", s.Local, s.Remote, s.Flow, s.State, o.Flow, o.State)
			}
		}
	}
	opts.Needs = whose.NeedDefault
	for _, s := range c.ours(first(c.again(t, opts))) {
		if s.Flow != 0 {
			t.Errorf("%v to %v: a flow id that nobody asked for", s.Local, s.Remote)
		}
	}
}

func first[A, B any](a A, _ B) A { return a }
