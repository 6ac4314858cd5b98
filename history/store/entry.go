package store

import (
	"net/netip"
	"slices"
	"time"

	"github.com/seed-44df2ae6/whose"
)

// A kind is the type of an entry. The numbers stand in files.
type kind uint8

const (
	// stands: the session has not ended. Only the table live has such entries.
	stands kind = iota + 1
	// opened: the opening of a session, where its facts then were others than at
	// its end. The entry of the end says apart.
	opened
	// closed, failed and unlistened: the ends that events report.
	closed
	failed
	unlistened
	// owned: the session has new owners since.
	owned
	// gone: the session was seen until then and is not there any more. Its end was
	// not seen.
	gone
)

// ends reports whether the entry is the last one of its session.
func (k kind) ends() bool { return k == closed || k == failed || k == unlistened || k == gone }

// Flags of an entry. The numbers stand in files.
const (
	// knownOpen: from is when the session opened. Without it, from is when it was
	// first seen.
	knownOpen = 1 << iota
	// counted: the traffic is known.
	counted
	// hasTCP: round-trip time and retransmits are known.
	hasTCP
	v6Only
	subflow
	// apart: the opening stands in an entry of its own.
	apart
	// hasFlow: the flow id is known. Files of earlier versions have none.
	hasFlow
)

// An entry is a fact that is kept: a session with its beginning and its end.
// Times are in microseconds since 1970.
type entry struct {
	facts
	results
	// at is the time of the fact: of an end, of new owners. The table live has the
	// time when the session was last seen.
	at int64
	// from is when the session opened or was first seen.
	from int64
}

// facts are known of a session while it stands.
type facts struct {
	local, remote netip.AddrPort
	cookie, inode uint64
	flow          uint64
	owners, peer  []whose.Owner
	place         place
	proto         whose.Proto
	family        whose.Family
	state         whose.State
	direction     whose.Direction
	reason        whose.Reason
	exposure      whose.Exposure
	unknown       whose.Facts
	flags         uint8
	kind          kind
}

// results are known of a session by its end.
type results struct {
	duration       int64 // of kinds closed and failed
	sent, received whose.Traffic
	rtt, retrans   uint32
	errno          uint32
	end            whose.End
	by             whose.Side
}

// A place holds the facts that many sessions share, beside their processes.
type place struct {
	netns, uid, mark               uint32
	netnsName, user                string
	device, scope, unit, container string
}

// micros is a time as files have it.
func micros(t time.Time) int64 { return t.UnixMicro() }

func fromMicros(us int64) time.Time { return time.UnixMicro(us) }

// factsOf takes the facts of a session. It keeps the lists of owners.
func factsOf(s *whose.Session) facts {
	f := facts{
		local: s.Local, remote: s.Remote, cookie: s.Cookie, inode: s.Inode, owners: s.Owners, peer: s.Peer,
		proto: s.Proto, family: s.Family, state: s.State, direction: s.Direction, reason: s.Reason, unknown: s.Unknown, exposure: s.Exposure,
		place: place{
			netns: s.NetNS, uid: s.UID, mark: s.Mark, netnsName: s.NetNSName, user: s.User,
			device: s.BoundDev, scope: s.Scope, unit: s.Unit, container: s.Container,
		},
	}
	f.unknown |= whose.FactRecvQueue | whose.FactSendQueue // facts of a moment
	if s.V6Only {
		f.flags |= v6Only
	}
	if s.Subflow {
		f.flags |= subflow
	}
	if s.Flow != 0 {
		f.flow, f.flags = s.Flow, f.flags|hasFlow
	}
	return f
}

// sameStart reports whether an opening with facts f reads as one with facts o.
func (f *facts) sameStart(o *facts) bool {
	const shown = v6Only | subflow
	return f.local == o.local && f.remote == o.remote && f.inode == o.inode && f.proto == o.proto && f.family == o.family &&
		f.direction == o.direction && f.reason == o.reason && f.unknown == o.unknown && f.flags&shown == o.flags&shown &&
		f.place == o.place && sameOwners(f.owners, o.owners) && sameOwners(f.peer, o.peer)
}

func sameOwners(a, b []whose.Owner) bool {
	if len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0]) {
		return true
	}
	return slices.EqualFunc(a, b, func(x, y whose.Owner) bool {
		return x.Process == y.Process || *x.Process == *y.Process
	})
}

// opening returns the state of the session as it opened.
func (f *facts) opening() whose.State {
	if f.kind == closed {
		return whose.Established
	}
	return f.state
}

// session writes the session of the facts.
func (f *facts) session(s *whose.Session) {
	*s = whose.Session{
		Local: f.local, Remote: f.remote, Cookie: f.cookie, Inode: f.inode, Flow: f.flow, Owners: f.owners, Peer: f.peer,
		Proto: f.proto, Family: f.family, State: f.state, Direction: f.direction, Reason: f.reason, Unknown: f.unknown, Exposure: f.exposure,
		V6Only: f.flags&v6Only != 0, Subflow: f.flags&subflow != 0,
		NetNS: f.place.netns, UID: f.place.uid, Mark: f.place.mark, NetNSName: f.place.netnsName, User: f.place.user,
		BoundDev: f.place.device, Scope: f.place.scope, Unit: f.place.unit, Container: f.place.container,
	}
}
