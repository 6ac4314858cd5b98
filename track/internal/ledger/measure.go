package ledger

import (
	"time"

	"github.com/seed-44df2ae6/whose"
)

// A Measurement holds the counters of the kernel at a moment.
type Measurement struct {
	// Sessions are those of a snapshot with the figures of TCP.
	Sessions []whose.Session
	// Flows are the UDP flows that the kernel counts. AllFlows: a flow that is
	// not among them has had no datagram.
	Flows    []Flow
	AllFlows bool
}

// counts are the traffic of a session.
type counts struct{ sent, received whose.Traffic }

// Measure returns the sessions of the table with another side, with the traffic of the
// measurement in their lives. Life.Counted is false where it has none.
func (g *Engine) Measure(m *Measurement, now uint64) []whose.Session {
	known := g.countsOf(m, now)
	var all []whose.Session
	g.table.each(func(p place, e *entry) bool {
		if !e.is(wanted) || e.IsListener() || e.RemotePort == 0 {
			return true
		}
		var s whose.Session
		g.session(e, &s)
		s.Peer = g.peers.of(e)
		c, ok := known[p]
		ok = ok || m.AllFlows && e.Proto.IsDatagram() && !e.is(counted)
		s.Life = &whose.Lifetime{
			StoodBefore: e.is(since), Duration: g.outbox.lasted(e, now),
			Counted: ok, Sent: c.sent, Received: c.received,
		}
		if !e.is(since) {
			s.Life.Opened = time.Unix(0, g.Base+int64(e.opened))
		}
		if !g.want.Late || g.want.Match.Match(&s) {
			all = append(all, s)
		}
		return true
	})
	return all
}

// countsOf finds the sessions of the table in a measurement.
func (g *Engine) countsOf(m *Measurement, now uint64) map[place]counts {
	known := make(map[place]counts, len(m.Sessions)+len(m.Flows))
	for i := range m.Sessions {
		s := &m.Sessions[i]
		if s.TCP == nil || s.TCP.OnlyTimer || s.Subflow {
			continue
		}
		e := g.reconciler.entryFrom(s, now)
		if p, ok := g.lookup(&e); ok && !replaced(g.table.at(p), &e) {
			known[p] = counts{whose.Traffic{Bytes: s.TCP.BytesSent}, whose.Traffic{Bytes: s.TCP.BytesReceived}}
		}
	}
	for i := range m.Flows {
		if p, ok := g.table.flows[m.Flows[i].Key]; ok {
			known[p] = counts{m.Flows[i].Sent, m.Flows[i].Received}
		}
	}
	return known
}
