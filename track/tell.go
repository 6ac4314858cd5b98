package track

import (
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/track/internal/bpfevent"
)

// session makes the session of an entry. It allocates nothing: owners are
// shared by all sessions of the same ones.
func (g *engine) session(e *entry, s *whose.Session) {
	g.facts(e, s)
	g.names.name(e, s)
}

// facts makes the session without the names of numbers. It writes each fact
// but names and TCP figures, and so need not clear what was there: this is the
// hot loop of Count.
func (g *engine) facts(e *entry, s *whose.Session) {
	s.Local, s.Remote = unmapped(e.local, e.localPort), unmapped(e.remote, e.remotePort)
	s.Inode, s.Cookie, s.NetNS, s.UID, s.Mark = e.inode, e.cookie, e.netns, e.uid, e.mark
	s.RecvQueue, s.SendQueue = e.recvQueue, e.sendQueue
	s.Proto, s.Family, s.State, s.Direction, s.Reason = e.proto, e.family, e.state, e.direction, e.reason
	s.V6Only = e.is(v6only) && e.direction == 0
	s.Owners = g.people.owners(e.owners)
	if e.reason == whose.ReasonAcceptQueue && e.owners == 0 {
		s.Owners = g.people.owners(g.listenerOwners(e))
	}
}

// meets reports whether a session is wanted.
func (g *engine) meets(e *entry) bool {
	w := &g.want
	if !w.protos.Allows(uint8(e.proto)) || !w.families.Allows(uint8(e.family)) {
		return false
	}
	if w.netns != nil && !w.netns(e.netns, g.names.netnsName(e.netns)) {
		return false
	}
	if w.match == nil || w.late {
		return true
	}
	g.session(e, &g.asked)
	return w.match.Match(&g.asked)
}

// wall turns the boot clock into the wall clock.
func (g *engine) wall(boot uint64) time.Time { return g.base.Add(time.Duration(boot)) }

// prepare begins an event of a session. It is finished by send.
func (g *engine) prepare(kind Kind, e *entry, at uint64) *Event {
	ev := g.order.slot()
	ev.Time, ev.Kind, ev.Since = g.wall(at), kind, e.is(since)
	g.order.at = at
	return ev
}

// send has the event that was prepared given out, if the session and the kind
// are wanted.
func (g *engine) send(e *entry) {
	ev := g.order.slot()
	if !e.is(wanted) || !g.want.kinds.Allows(uint8(ev.Kind)) {
		*ev = Event{}
		return
	}
	g.session(e, &ev.Session)
	if ev.Kind == Close {
		ev.Session.State = whose.Close
	}
	if !ev.Kind.hasPeer() || g.foundPeer(e, ev) {
		e = nil
	}
	g.keep(e, g.order.at)
}

// foundPeer fills in the other end where it is known already, as that of the
// second of two that are told, or will not be later, since e is not in the table.
// An end that opened at another time may be that of a connection before.
func (g *engine) foundPeer(e *entry, ev *Event) bool {
	o := g.table.other(e)
	if e.is(linked) && (o == nil || apart(o.opened, e.opened) > sameOpening || o.owners == 0) {
		return false
	}
	ev.Session.Peer = g.ownersAt(o)
	return true
}

// sameOpening is less than what is between two connections with the same ends,
// and more than what is between the two ends of one on this host, in nanoseconds.
const sameOpening = uint64(5 * time.Millisecond)

// hasPeer reports whether an event tells who is at the other end.
func (k Kind) hasPeer() bool { return k == Open || k == Close || k == Owned }

// tellLost tells that so many events were lost.
func (g *engine) tellLost(n uint64, why string, now time.Time, at uint64) {
	*g.order.slot() = Event{Time: now, Kind: Lost, Lost: n, Why: why}
	g.keep(nil, at)
}

// tell gives out an event that has nothing of its own.
func (g *engine) tell(kind Kind, e *entry, at uint64) {
	g.prepare(kind, e, at)
	g.send(e)
}

func (g *engine) tellIf(cond bool, kind Kind, e *entry, at uint64) {
	if cond {
		g.tell(kind, e, at)
	}
}

// elapsed is the time between two readings of the boot clock.
func elapsed(from, to uint64) time.Duration {
	if to < from {
		return 0 // two processors
	}
	return time.Duration(to - from)
}

// lasted is how long a session was there, as far as it was followed.
func (g *engine) lasted(e *entry, until uint64) time.Duration {
	if e.is(since) {
		return elapsed(g.began, until)
	}
	return elapsed(e.opened, until)
}

// tellEnd tells of the end of a connection with what its record counts.
func (g *engine) tellEnd(e *entry, r *bpfevent.Record) {
	ev := g.prepare(Close, e, r.Time)
	if r.OldState != 0 {
		ev.End, ev.By = endOfTCP(r)
	}
	if ev.End == EndError {
		ev.Errno = r.Err
	}
	ev.Duration = g.lasted(e, r.Time)
	ev.Sent.Bytes, ev.Received.Bytes = r.BytesSent, r.BytesReceived
	if e.is(wanted) && g.want.kinds.Allows(uint8(Close)) {
		ev.Session.TCP = g.tcpInfo(r)
	}
	g.send(e)
}

// tellGone tells of an end of which no more is known than that it was.
func (g *engine) tellGone(kind Kind, e *entry, at uint64, end End) {
	if !e.is(told) {
		return
	}
	ev := g.prepare(kind, e, at)
	ev.End, ev.Duration = end, g.lasted(e, at)
	g.send(e)
}

// tcpInfo returns the figures of a record, out of a block that is given away
// with the events.
func (g *engine) tcpInfo(r *bpfevent.Record) *whose.TCPInfo {
	if len(g.infos) == 0 {
		g.infos = make([]whose.TCPInfo, infoBlock)
	}
	info := &g.infos[0]
	g.infos = g.infos[1:]
	*info = whose.TCPInfo{
		RTT: time.Duration(r.RTT) * time.Microsecond, Retrans: r.Retrans,
		BytesSent: r.BytesSent, BytesReceived: r.BytesReceived,
	}
	return info
}

// infoBlock is how many figures are allocated at once; who keeps one event
// keeps 2 KiB.
const infoBlock = 32
