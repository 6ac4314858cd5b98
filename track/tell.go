package track

import (
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/pair"
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
	e.write(s)
	s.Owners = g.shownOwners(e)
}

// write gives a session the facts of the entry that are numbers.
func (e *entry) write(s *whose.Session) {
	s.Local, s.Remote = pair.AddrPort(e.Local, e.LocalPort), pair.AddrPort(e.Remote, e.RemotePort)
	s.Inode, s.Cookie, s.NetNS, s.UID, s.Mark = e.inode, e.cookie, e.NetNS, e.uid, e.mark
	s.RecvQueue, s.SendQueue = e.recvQueue, e.sendQueue
	s.Proto, s.Family, s.State, s.Direction, s.Reason = e.Proto, e.Family, e.State, e.direction, e.reason
	s.V6Only = e.V6Only && e.direction == 0
	s.Unknown = e.unknown
}

// shownOwners returns the owners that a session is shown with: its own, or
// those of the listener that has yet to accept it.
func (g *engine) shownOwners(e *entry) []whose.Owner {
	if e.owners == 0 && e.reason == whose.ReasonAcceptQueue {
		return g.queueOwners(e)
	}
	return g.processes.owners(e.owners)
}

// meets reports whether a session is wanted.
func (g *engine) meets(e *entry) bool {
	w := &g.want
	if !w.protos.Has(e.Proto) || !w.families.Has(e.Family) {
		return false
	}
	if w.netns != nil && !w.netns(e.NetNS, g.names.netnsName(e.NetNS)) {
		return false
	}
	if w.match == nil || w.late {
		return true
	}
	g.session(e, &g.asked)
	return w.match.Match(&g.asked)
}

// tells reports whether an event of the session is wanted.
func (g *engine) tells(kind whose.EventKind, e *entry) bool {
	return e.is(wanted) && g.want.kinds.Has(kind)
}

// lifeOf returns what events tell of a session by now.
func (g *engine) lifeOf(e *entry) *life {
	l := g.order.newLife()
	l.entry, l.owners, l.labels = *e, g.shownOwners(e), g.names.labelsOf(e)
	return l
}

// tell has an event given out that has nothing of its own.
func (g *engine) tell(kind whose.EventKind, e *entry, at uint64) {
	if !g.tells(kind, e) {
		return
	}
	l := g.lifeOf(e)
	if hasPeer(kind) {
		g.face(l)
	}
	g.keep(kind, l, at)
}

func (g *engine) tellIf(cond bool, kind whose.EventKind, e *entry, at uint64) {
	if cond {
		g.tell(kind, e, at)
	}
}

// tellLost tells that events were lost.
func (g *engine) tellLost(l loss, now time.Time, at uint64) {
	g.hold(lossOf(l, now, at))
}

// hasPeer reports whether an event of the kind tells who is at the other end.
func hasPeer(k whose.EventKind) bool {
	return k == whose.EventOpen || k == whose.EventClose || k == whose.EventOwned
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
	if !g.tells(whose.EventClose, e) {
		return
	}
	l := g.lifeOf(e)
	g.finish(l, r)
	g.face(l)
	g.keep(whose.EventClose, l, r.Time)
}

// tellWhole tells that a connection opened and that it ended, both by the
// record of its end. It is not in the table, and was not.
func (g *engine) tellWhole(e *entry, r *bpfevent.Record) {
	opens, closes := g.tells(whose.EventOpen, e), g.tells(whose.EventClose, e)
	if !opens && !closes {
		g.meetHalf(e, nil)
		return
	}
	l := g.lifeOf(e)
	g.finish(l, r)
	g.meetHalf(e, l)
	switch {
	case !closes:
		g.keep(whose.EventOpen, l, e.opened)
	case !opens:
		g.keep(whose.EventClose, l, r.Time)
	default: // at once: an event that was given out is read by others
		g.hold(g.moment(whose.EventOpen, l, e.opened), g.moment(whose.EventClose, l, r.Time))
	}
}

// finish adds what a connection came to.
func (g *engine) finish(l *life, r *bpfevent.Record) {
	if r.OldState != 0 {
		l.end, l.by = endOfTCP(r)
	}
	if l.end == whose.EndError {
		l.errno = r.Err
	}
	l.duration = g.lasted(&l.entry, r.Time)
	l.sent.Bytes, l.received.Bytes, l.rtt, l.retrans = r.BytesSent, r.BytesReceived, r.RTT, r.Retrans
	l.counted = true
}

// tellFlowEnd tells of the end of a flow with what was counted.
func (g *engine) tellFlowEnd(e *entry, end whose.End, at, last uint64, sent, received whose.Traffic) {
	if !e.is(told) || !g.tells(whose.EventClose, e) {
		return
	}
	l := g.lifeOf(e)
	l.end, l.duration, l.sent, l.received = end, g.lasted(e, last), sent, received
	g.face(l)
	g.keep(whose.EventClose, l, at)
}

// tellFail tells that a connect did not come about.
func (g *engine) tellFail(e *entry, r *bpfevent.Record) {
	if !g.tells(whose.EventFail, e) {
		return
	}
	l := g.lifeOf(e)
	l.end, l.errno, l.duration = endOfConnect(r.Err), r.Err, elapsed(e.opened, r.Time)
	g.keep(whose.EventFail, l, r.Time)
}

// tellGone tells of an end of which no more is known than that it was.
func (g *engine) tellGone(kind whose.EventKind, e *entry, at uint64) {
	if !e.is(told) || !g.tells(kind, e) {
		return
	}
	l := g.lifeOf(e)
	l.duration = g.lasted(e, at)
	if hasPeer(kind) {
		g.face(l)
	}
	g.keep(kind, l, at)
}
