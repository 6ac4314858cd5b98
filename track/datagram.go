package track

import (
	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/pair"
	"github.com/seed-44df2ae6/whose/track/internal/bpfevent"
)

// udpBind: a process bound a UDP socket.
func (g *engine) udpBind(r *bpfevent.Record) {
	e := g.entryOf(r, whose.Unconn)
	if p, ok := g.lookup(e); ok {
		if old := g.table.at(p); !old.is(told) {
			old.flags |= told
			g.give(old, r)
			g.tell(whose.EventBind, old, r.Time)
		}
		return // told twice, or by the snapshot
	}
	if g.ended.has(r.Cookie, e.opened) {
		return
	}
	g.give(e, r)
	g.enter(e, whose.EventBind, r.Time)
}

// udpOpen: the first datagram of a flow went.
func (g *engine) udpOpen(r *bpfevent.Record) {
	e := g.flowOf(r)
	p, ok := g.lookup(e)
	if !ok {
		if g.ended.has(e.endedID(), e.opened) {
			return // told twice
		}
		g.give(e, r)
		g.open(e, e.opened)
		return
	}
	known := g.table.at(p)
	known.flags |= counted
	if known.owners == 0 {
		g.give(known, r)
	}
	if !known.is(told) {
		known.flags |= told
		known.opened, known.direction = e.opened, e.direction
		g.tell(whose.EventOpen, known, e.opened)
	}
}

// flowOf returns the flow of a record, which the kernel counts.
func (g *engine) flowOf(r *bpfevent.Record) *entry {
	e := g.entryOf(r, whose.Established)
	e.flags |= isFlow | counted
	return e
}

// udpClose: the socket of a flow was closed, or the flow had to give way to
// another; or, where the record names no remote end, a bound socket was closed.
func (g *engine) udpClose(r *bpfevent.Record) {
	if r.RemotePort == 0 && pair.IsUnspecified(&r.Remote) && !r.RemoteUnknown {
		g.udpUnbind(r)
		return
	}
	e := g.flowOf(r)
	if p, ok := g.lookup(e); ok {
		known := g.table.at(p)
		if known.owners == 0 {
			g.ownAtEnd(known, r)
		}
		g.tellFlow(known, r)
		g.drop(p)
		g.ended.add(e.endedID(), r.Opened)
		return
	}
	if g.ended.has(e.endedID(), e.opened) {
		return // told twice, or idle before
	}
	g.ended.add(e.endedID(), e.opened)
	if g.knownOnly {
		return
	}
	e.flags |= told
	g.give(e, r)
	g.names.meet(e)
	g.rematch(e)
	switch {
	case r.Opened == 0 || r.Opened < g.began:
		e.flags |= since
		if e.owners == 0 && e.reason == whose.ReasonUnheld {
			e.reason = whose.ReasonRaced
		}
	case !g.ended.has(e.endedID(), ^r.Opened):
		g.tell(whose.EventOpen, e, e.opened)
	}
	g.tellFlow(e, r)
}

// udpUnbind: a socket that was bound and not connected was closed, which no
// kind of event tells.
func (g *engine) udpUnbind(r *bpfevent.Record) {
	e := g.entryOf(r, whose.Unconn)
	p, ok := g.lookup(e)
	if !ok {
		return // told twice, or never told: nobody bound it on purpose
	}
	known := g.table.at(p)
	if known.State != whose.Unconn {
		return
	}
	g.drop(p)
	g.ended.add(r.Cookie, r.Opened)
}

// tellFlow tells of the end of a flow with what its record counts.
func (g *engine) tellFlow(e *entry, r *bpfevent.Record) {
	g.tellFlowEnd(e, whose.EndClosed, r.Time, r.Time, whose.Traffic{Bytes: r.BytesSent, Datagrams: r.DatagramsSent}, whose.Traffic{Bytes: r.BytesReceived, Datagrams: r.DatagramsReceived})
}

// A flowScan is one look at all flows that the kernel counts.
type flowScan struct {
	number uint32
	// began is when it began: a flow that is newer need not be in it.
	began uint64
	// after is the time without a datagram after which a flow is over.
	after uint64
}

// scanFlows begins a scan.
func (g *engine) scanFlows(now, after uint64) flowScan {
	g.now = max(g.now, now)
	g.flowScans++
	return flowScan{g.flowScans, now, after}
}

// idle notes that the kernel counts a flow, and reports whether it had no
// datagram for so long that it is over.
func (g *engine) idle(s flowScan, f *kernelFlow) bool {
	if p, ok := g.table.flows[f.key]; ok {
		e := g.table.at(p)
		e.scan, e.missed = s.number, 0
	}
	return f.last+s.after <= s.began
}

// idleEnded: the kernel counts a flow no longer, since it was idle. A datagram
// after this begins a new one.
func (g *engine) idleEnded(f *kernelFlow) {
	p, ok := g.table.flows[f.key]
	if !ok {
		return
	}
	e := g.table.at(p)
	g.tellFlowEnd(e, whose.EndIdle, g.now, f.last, f.sent, f.received)
	g.drop(p)
}

// endScan ends the flows that the kernel counted once and does no longer,
// without having told: their record was lost. Twice in a row, since the record
// may still be under way.
func (g *engine) endScan(s flowScan) {
	for _, p := range g.table.flows {
		e := g.table.at(p)
		if !e.is(counted) || e.scan == s.number || e.opened >= s.began {
			continue
		}
		if g.miss(e) {
			g.vanish(p, g.now)
		}
	}
}
