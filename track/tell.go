package track

import (
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/track/internal/bpfevent"
)

// session makes the session of an entry. It allocates nothing: owners are
// shared by all sessions of the same ones.
func (g *engine) session(e *entry, s *whose.Session) {
	*s = whose.Session{
		Local: unmapped(e.local, e.localPort), Remote: unmapped(e.remote, e.remotePort),
		Inode: e.inode, Cookie: e.cookie, NetNS: e.netns, UID: e.uid, Mark: e.mark,
		RecvQueue: e.recvQueue, SendQueue: e.sendQueue,
		Proto: e.proto, Family: e.family, State: e.state, Direction: e.direction,
		V6Only: e.is(v6only) && e.direction == 0,
		Owners: g.people.owners(e.owners), Reason: e.reason,
	}
	g.names.name(e, s)
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
	var s whose.Session
	g.session(e, &s)
	return w.match.Match(&s)
}

// wall turns the boot clock into the wall clock.
func (g *engine) wall(boot uint64) time.Time { return g.base.Add(time.Duration(boot)) }

// prepare begins an event of a session. It is finished by send.
func (g *engine) prepare(kind Kind, e *entry, at uint64) *Event {
	ev := &g.event
	*ev = Event{Time: g.wall(at), Kind: kind, Since: e.is(since)}
	return ev
}

// send gives the event out, if the session and the kind are wanted.
func (g *engine) send(e *entry) {
	ev := &g.event
	if !e.is(wanted) || !g.want.kinds.Allows(uint8(ev.Kind)) {
		return
	}
	tcp := ev.Session.TCP
	g.session(e, &ev.Session)
	ev.Session.TCP = tcp
	if g.want.late && !g.want.match.Match(&ev.Session) {
		return
	}
	if ev.Kind == Close {
		ev.Session.State = whose.Close
	}
	g.emit(ev)
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
		ev.Session.TCP = &whose.TCPInfo{
			RTT: time.Duration(r.RTT) * time.Microsecond, Retrans: r.Retrans,
			BytesSent: r.BytesSent, BytesReceived: r.BytesReceived,
		}
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
