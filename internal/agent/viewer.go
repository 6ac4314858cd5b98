package agent

import (
	"slices"

	"github.com/seed-44df2ae6/whose"
)

// A Viewer is the one who asks an agent, as far as it decides what is shown. The zero
// value is root without being shown to be: a viewer of user 0's sessions.
type Viewer struct {
	// All: nothing is hidden. Root and the agent's group see all.
	All bool
	// UID is the user whose processes are shown, if not All. The processes of others
	// are hidden, as the kernel would hide them.
	UID uint32
	// NetNS is the network namespace whose sessions are shown to everybody: the
	// host's. Of others a user sees those sessions that he owns.
	NetNS uint32
}

// A veil hides sessions and owners from a viewer, and counts what it hides.
type veil struct {
	viewer Viewer
	pids   map[uint32]bool
	spaces map[uint32]bool
}

func newVeil(v Viewer) *veil {
	return &veil{v, make(map[uint32]bool), make(map[uint32]bool)}
}

// cover makes a session what the viewer may see of it, and reports whether that is
// anything.
func (v *veil) cover(s *whose.Session) bool {
	if v.viewer.All {
		return true
	}
	had := len(s.Owners) > 0
	s.Owners, s.Peer = v.own(s.Owners), v.own(s.Peer)
	if len(s.Owners) == 0 && s.NetNS != v.viewer.NetNS {
		v.spaces[s.NetNS] = true
		return false
	}
	if had && len(s.Owners) == 0 && s.Reason == whose.ReasonNone {
		s.Reason = whose.ReasonHidden
	}
	return true
}

// own returns the viewer's own processes of a list, which stays as it is.
func (v *veil) own(owners []whose.Owner) []whose.Owner {
	others := func(o whose.Owner) bool { return o.UID != v.viewer.UID }
	if !slices.ContainsFunc(owners, others) {
		return owners
	}
	var own []whose.Owner
	for _, o := range owners {
		if others(o) {
			v.pids[o.PID] = true
		} else {
			own = append(own, o)
		}
	}
	return own
}

// gaps are the hidden things.
func (v *veil) gaps() whose.Gaps {
	var gaps whose.Gaps
	if n := len(v.pids); n > 0 {
		gaps.Add(whose.Gap{Kind: whose.GapProcesses, Cause: whose.CausePermission, Count: n, Hint: hintGroup})
	}
	if n := len(v.spaces); n > 0 {
		gaps.Add(whose.Gap{Kind: whose.GapNamespaces, Cause: whose.CausePermission, Count: n, Hint: hintGroup})
	}
	return gaps
}

// hintGroup is the advice for somebody to whom an agent does not show all.
const hintGroup = "ask as root or as a member of the agent's group"
