package ledger

import (
	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/pair"
	"github.com/seed-44df2ae6/whose/track/internal/bpfevent"
)

// udpBind: a process bound a UDP socket.
func (g *Engine) udpBind(r *bpfevent.Record) {
	e := g.entryOf(r, whose.Unconn)
	if p, ok := g.lookup(e); ok {
		if old := g.table.at(p); !old.is(told) {
			old.flags |= told
			g.assignBy(old, r)
			g.outbox.emit(whose.EventBind, old, r.Time)
		}
		return // a repeat, or in the snapshot
	}
	if g.ended.has(r.Cookie, e.opened) {
		return
	}
	g.assignBy(e, r)
	g.enter(e, whose.EventBind, r.Time)
}

// udpOpen: a flow had its first datagram.
func (g *Engine) udpOpen(r *bpfevent.Record) {
	e := g.flowOf(r)
	p, ok := g.lookup(e)
	if !ok {
		if g.ended.has(e.endedID(), e.opened) {
			return // a repeat
		}
		g.assignBy(e, r)
		g.open(e, e.opened)
		return
	}
	known := g.table.at(p)
	known.flags |= counted
	if known.owners == 0 {
		g.assignBy(known, r)
	}
	if !known.is(told) {
		known.flags |= told
		known.opened, known.direction = e.opened, e.direction
		g.outbox.emit(whose.EventOpen, known, e.opened)
	}
}

// flowOf returns the flow of a record. The kernel counts it.
func (g *Engine) flowOf(r *bpfevent.Record) *entry {
	e := g.entryOf(r, whose.Established)
	e.flags |= isFlow | counted
	return e
}

// udpClose: the socket of a flow was closed, or the flow gave way to another.
// Where the record names no remote end, a bound socket was closed.
func (g *Engine) udpClose(r *bpfevent.Record) {
	if r.RemotePort == 0 && pair.IsUnspecified(&r.Remote) && !r.RemoteUnknown {
		g.udpUnbind(r)
		return
	}
	e := g.flowOf(r)
	if p, ok := g.lookup(e); ok {
		known := g.table.at(p)
		if known.owners == 0 {
			g.assignAtEnd(known, r)
		}
		g.emitFlow(known, r)
		g.drop(p)
		g.ended.add(e.endedID(), r.Opened)
		return
	}
	if g.ended.has(e.endedID(), e.opened) {
		return // a repeat, or it ended as idle
	}
	g.ended.add(e.endedID(), e.opened)
	if g.KnownOnly {
		return
	}
	e.flags |= told
	g.assignBy(e, r)
	g.names.meet(e)
	g.rematch(e)
	switch {
	case r.Opened == 0 || r.Opened < g.Began:
		e.flags |= since
		if e.owners == 0 && e.reason == whose.ReasonUnheld {
			e.reason = whose.ReasonRaced
		}
	case !g.ended.has(e.endedID(), ^r.Opened):
		g.outbox.emit(whose.EventOpen, e, e.opened)
	}
	g.emitFlow(e, r)
}

// udpUnbind: a bound, unconnected socket was closed. No kind of event reports
// this.
func (g *Engine) udpUnbind(r *bpfevent.Record) {
	e := g.entryOf(r, whose.Unconn)
	p, ok := g.lookup(e)
	if !ok {
		return // a repeat, or never reported: nobody bound it on purpose
	}
	known := g.table.at(p)
	if known.State != whose.Unconn {
		return
	}
	g.drop(p)
	g.ended.add(r.Cookie, r.Opened)
}

// emitFlow emits the end of a flow with the counts of its record.
func (g *Engine) emitFlow(e *entry, r *bpfevent.Record) {
	if g.KnownOnly {
		g.outbox.emitFlowGone(e, r.Time)
		return
	}
	g.outbox.emitFlowEnd(e, whose.EndClosed, r.Time, r.Time,
		whose.Traffic{Bytes: r.BytesSent, Datagrams: r.DatagramsSent},
		whose.Traffic{Bytes: r.BytesReceived, Datagrams: r.DatagramsReceived})
}
