package ledger

import (
	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/pair"
	"github.com/seed-44df2ae6/whose/track/internal/bpfevent"
)

// tcpOpen: a connection was established. An incoming one is reported when its
// owner is known.
func (g *Engine) tcpOpen(r *bpfevent.Record) {
	e := g.entryOf(r, whose.Established)
	id := e.endedID()
	if g.ended.has(id, e.opened) || g.pending.byID[id] != nil {
		return // a repeat
	}
	if e.Proto == whose.MPTCP && e.RemotePort == 0 {
		return // the kernel does not know its ends yet: a snapshot or its end will report it
	}
	if p, ok := g.lookup(e); ok {
		old := g.table.at(p)
		if old.sameEnds(e) {
			return // a repeat, or in the snapshot
		}
		g.vanish(p, e.opened) // its end was lost, and the socket connected anew
	}
	if !r.Out && r.Task.PID == 0 {
		g.await(e, r.Time)
		return
	}
	g.assignBy(e, r)
	g.open(e, e.opened)
}

// tcpAccept: a process accepted a connection.
func (g *Engine) tcpAccept(r *bpfevent.Record) {
	e := g.entryOf(r, whose.Established)
	id := e.endedID()
	if w := g.pending.byID[id]; w != nil {
		g.acceptPending(w, r)
		return
	}
	if g.ended.has(id, e.opened) {
		return
	}
	p, ok := g.lookup(e)
	if !ok { // the record of its opening was lost
		if g.ended.has(id, ^e.opened) {
			return
		}
		e.direction = whose.In
		e.flags |= accepted
		g.assignBy(e, r)
		g.open(e, e.opened)
		return
	}
	g.acceptKnown(g.table.at(p), r)
}

// acceptKnown: a connection has its owner. It was reported without the process
// that accepts it, or stood in the accept queue when following began.
func (g *Engine) acceptKnown(e *entry, r *bpfevent.Record) {
	if e.is(accepted | handedOver) {
		return // a repeat
	}
	e.flags |= accepted
	if e.inode == 0 && e.cookie != 0 {
		e.inode = r.Inode
	}
	set := g.ownersOf(r)
	if set == 0 || set == e.owners && e.reason == whose.ReasonNone {
		return
	}
	if e.owners != 0 && e.reason == whose.ReasonNone {
		return // the snapshot saw the present owner, which is more
	}
	g.assign(e, set)
	g.outbox.emitIf(e.is(told), whose.EventOwned, e, r.Time)
}

// tcpClose: a connection ended. Its record may know more than the session: the
// owner, or even the opening. That is reported first.
func (g *Engine) tcpClose(r *bpfevent.Record) {
	e := g.entryOf(r, whose.Established)
	id := e.endedID()
	if w := g.pending.byID[id]; w != nil {
		g.closePending(w, r)
		return
	}
	if p, ok := g.lookup(e); ok && !g.table.at(p).succeeds(e) {
		known := g.table.at(p)
		if known.State == whose.Listen { // a source that does not report the former state
			g.outbox.emitGone(whose.EventUnlisten, known, r.Time)
			g.drop(p)
			return
		}
		switch {
		case r.Queued:
			g.endQueued(known, r)
		case known.owners == 0 || known.reason == whose.ReasonAcceptQueue:
			g.assignAtEnd(known, r)
		}
		if known.flow == 0 {
			known.flow = r.Flow // a snapshot did not know it
		}
		g.outbox.emitEnd(known, r)
		g.drop(p)
		g.ended.add(id, r.Opened)
		return
	}
	if g.ended.has(id, r.Opened) {
		return // a repeat
	}
	g.ended.add(id, r.Opened)
	if !g.KnownOnly {
		g.closeUnknown(e, r)
	}
}

// succeeds reports whether an entry of the first snapshot is a later session of
// the same socket: the socket connected anew, to other ends, before the snapshot
// met it, and the end of the earlier session comes after.
func (e *entry) succeeds(ended *entry) bool {
	return e.is(since) && e.State != whose.Listen && e.RemotePort != 0 &&
		ended.LocalPort != 0 && ended.RemotePort != 0 && !e.sameEnds(ended)
}

// assignAtEnd gives a session its owner by the record of its end.
func (g *Engine) assignAtEnd(e *entry, r *bpfevent.Record) {
	if set := g.ownersOf(r); set != 0 {
		g.assign(e, set)
	}
}

// closeUnknown: the end of a connection that is not in the table. Its opening
// was lost or never reported separately, or it stood before and no snapshot has
// it, or the table had no room.
func (g *Engine) closeUnknown(e *entry, r *bpfevent.Record) {
	whole := false
	switch {
	case r.Opened == 0 || r.Opened < g.Began:
		g.stoodBefore(e, r)
	case g.ended.has(e.endedID(), ^r.Opened): // reported, and no room in the table
		g.assignBy(e, r)
	case !r.Out && !r.Accepted && !r.Queued && r.Task.PID == 0:
		g.await(e, r.Time)
		if w := g.pending.byID[e.endedID()]; w != nil {
			g.closePending(w, r)
		}
		return
	default:
		whole = true
		g.assignBy(e, r)
	}
	g.names.meet(e)
	g.rematch(e)
	if whole {
		g.outbox.emitWhole(e, r)
	} else {
		g.outbox.emitEnd(e, r)
	}
}

// stoodBefore: the first record of a session is its end. The session stood
// before following began and was gone before the snapshot came to it, so nobody
// knows its owner. Its direction follows as in a snapshot.
func (g *Engine) stoodBefore(e *entry, r *bpfevent.Record) {
	e.flags |= since
	g.assignBy(e, r)
	if e.owners == 0 && e.reason == whose.ReasonUnheld {
		e.reason = whose.ReasonRaced
	}
	if r.Opened == 0 && !r.Queued { // else the programs saw it begin
		e.direction = e.Direction(r.Origin, g.taking(e))
	}
}

// taking reports whether a listener of the table takes a session.
func (g *Engine) taking(e *entry) pair.Taking {
	if g.table.listenerOf(e) == noPlace {
		return pair.NotTaken
	}
	return pair.Taken
}

// tcpFail: a connect failed.
func (g *Engine) tcpFail(r *bpfevent.Record) {
	e := g.entryOf(r, whose.SynSent)
	if g.ended.has(e.endedID(), e.opened) {
		return
	}
	g.ended.add(e.endedID(), e.opened)
	e.direction = whose.Out
	g.assignBy(e, r)
	g.names.meet(e)
	g.rematch(e)
	g.outbox.emitFail(e, r)
}

// listening is the second half of the identity, among the ended ones, of a
// socket that ceased to listen.
const listening = 1

// tcpListen: a socket began to listen.
func (g *Engine) tcpListen(r *bpfevent.Record) {
	e := g.entryOf(r, whose.Listen)
	e.sendQueue, e.unknown = r.Backlog, whose.FactRecvQueue
	if p, ok := g.lookup(e); ok {
		old := g.table.at(p)
		old.unknown &^= whose.FactSendQueue
		old.sendQueue = r.Backlog // listen may be called again, for another backlog
		return
	}
	e.opened = r.Time
	g.ended.drop(r.Cookie, listening)
	g.assignBy(e, r)
	g.enter(e, whose.EventListen, r.Time)
}

// tcpUnlisten: a socket ceased to listen.
func (g *Engine) tcpUnlisten(r *bpfevent.Record) {
	e := g.entryOf(r, whose.Listen)
	if p, ok := g.lookup(e); ok {
		known := g.table.at(p)
		if known.State != whose.Listen {
			return // a record of another life of the socket
		}
		if known.owners == 0 {
			g.assignAtEnd(known, r)
		}
		g.outbox.emitGone(whose.EventUnlisten, known, r.Time)
		g.drop(p)
		g.ended.add(r.Cookie, listening)
		return
	}
	if g.ended.has(r.Cookie, listening) {
		return
	}
	g.ended.add(r.Cookie, listening)
	e.flags |= since | told
	g.assignBy(e, r)
	g.names.meet(e)
	g.rematch(e)
	g.outbox.emitGone(whose.EventUnlisten, e, r.Time)
}
