package ledger

import (
	"iter"
	"time"

	"github.com/seed-44df2ae6/whose"
)

// A Measurement holds the counters of the kernel at a moment, for the sessions of the
// table.
type Measurement struct {
	// AllFlows: a UDP flow that is not among the measured ones has had no datagram.
	AllFlows bool
	known    map[place]counts
	at       uint64
}

// counts are the traffic of the session of a cookie.
type counts struct {
	cookie         uint64
	sent, received whose.Traffic
}

// Measured takes the sessions of a snapshot with the figures of TCP, and the UDP flows
// that the kernel counts, at a time by the boot clock.
func (g *Engine) Measured(sessions iter.Seq[*whose.Session], flows []Flow, now uint64) *Measurement {
	m := &Measurement{known: make(map[place]counts), at: now}
	for s := range sessions {
		if s.TCP == nil || s.TCP.OnlyTimer || s.Subflow {
			continue
		}
		e := g.reconciler.entryFrom(s, now)
		if p, ok := g.lookup(&e); ok && !replaced(g.table.at(p), &e) {
			m.known[p] = counts{g.table.at(p).cookie, whose.Traffic{Bytes: s.TCP.BytesSent}, whose.Traffic{Bytes: s.TCP.BytesReceived}}
		}
	}
	for i := range flows {
		if p, ok := g.table.flows.Get(flows[i].Key); ok {
			m.known[p] = counts{flows[i].Key.Cookie, flows[i].Sent, flows[i].Received}
		}
	}
	return m
}

// of returns the counts of the session in a place, which another may have had at the
// time of the measurement.
func (m *Measurement) of(p place, e *entry) (counts, bool) {
	c, ok := m.known[p]
	return c, ok && c.cookie == e.cookie && e.opened <= m.at
}

// Measure calls fn with the sessions of the table with another side, with the traffic of
// the measurement in their lives, until it returns false. Life.Counted is false where it
// has none. The next session overwrites the one before, but not its lists.
func (g *Engine) Measure(m *Measurement, now uint64, fn func(*whose.Session) bool) {
	var s whose.Session
	var life whose.Lifetime
	g.table.each(func(p place, e *entry) bool {
		if !e.is(wanted) || e.IsListener() || e.RemotePort == 0 {
			return true
		}
		s = whose.Session{}
		g.session(e, &s)
		s.Peer = g.peers.of(e)
		c, ok := m.of(p, e)
		ok = ok || m.AllFlows && e.Proto.IsDatagram() && !e.is(counted)
		life = whose.Lifetime{
			StoodBefore: e.is(since), Duration: g.outbox.lasted(e, now),
			Counted: ok, Sent: c.sent, Received: c.received,
		}
		if !e.is(since) {
			life.Opened = time.Unix(0, g.Base+int64(e.opened))
		}
		s.Life = &life
		return g.want.Late && !g.want.Match.Match(&s) || fn(&s)
	})
}
