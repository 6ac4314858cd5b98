package ledger

import (
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/pair"
	"github.com/seed-44df2ae6/whose/track/internal/bpfevent"
)

// opening holds the sessions opened by records during the first snapshot. The
// snapshot may have them too; then the records count.
type opening struct {
	sockets map[uint64]bool
	flows   map[FlowKey]bool
	// last is the last record of an accept or an end of each TCP socket.
	last map[uint64]*bpfevent.Record
}

// openingOf returns the sessions that the records open, or report whole, since
// following began.
func openingOf(records []bpfevent.Record, began uint64) opening {
	o := opening{sockets: make(map[uint64]bool), flows: make(map[FlowKey]bool), last: make(map[uint64]*bpfevent.Record)}
	for i := range records {
		r := &records[i]
		switch r.Kind {
		case bpfevent.TCPOpen:
			o.add(r)
		case bpfevent.TCPListen, bpfevent.UDPBind:
			o.sockets[r.Cookie] = true
		case bpfevent.TCPAccept:
			o.last[r.Cookie] = r
		case bpfevent.TCPClose:
			o.last[r.Cookie] = r
			if r.Opened >= began {
				o.add(r)
			}
		case bpfevent.UDPOpen:
			o.flows[FlowKey{r.Cookie, r.Remote, r.RemotePort}] = true
		}
	}
	return o
}

// add notes a connection that a record opens.
func (o *opening) add(r *bpfevent.Record) {
	if whose.Proto(r.Proto) == whose.MPTCP {
		o.flows[FlowKey{r.Cookie, r.Remote, r.RemotePort}] = true
	} else {
		o.sockets[r.Cookie] = true
	}
}

func (o *opening) has(e *entry) bool {
	if e.is(isFlow) {
		return o.flows[e.flowKey()]
	}
	return e.cookie != 0 && o.sockets[e.cookie]
}

// Begin fills the table with the sessions that stood when following began, and
// then applies the records that came meanwhile. It returns the sessions to
// report as standing, in the memory of the snapshot.
func (g *Engine) Begin(snapshot []whose.Session, meanwhile []bpfevent.Record) []whose.Session {
	g.table.expect(len(snapshot))
	news := openingOf(meanwhile, g.Began)
	standing := snapshot[:0]
	for i := range snapshot {
		s := &snapshot[i]
		if s.State == whose.SynSent && s.Cookie != 0 {
			if set := g.processes.setOf(s.Owners); set != 0 {
				g.connecting[s.Cookie] = set
			}
		}
		if !Lives(s) {
			continue
		}
		e := g.reconciler.entryFrom(s, g.Began)
		if news.has(&e) {
			continue
		}
		if _, met := g.lookup(&e); met {
			continue
		}
		e.flags |= since | told
		e.pass = g.reconciler.number
		g.reconciler.apply(&e, s)
		if r := news.last[e.cookie]; r != nil && !e.is(isFlow) && g.entryOf(r, e.State).sameEnds(&e) {
			g.hindsight(&e, s, r)
		}
		g.insert(&e)
		if e.is(wanted) {
			standing = append(standing, *s)
		}
	}
	standing = g.reconciler.facing(standing)
	g.outbox.batch(func() {
		for i := range meanwhile {
			g.Apply(&meanwhile[i])
		}
	})
	return standing
}

// hindsight gives a session of the first snapshot what a record of the same time
// knows better: which side it was, and whose. A snapshot reads sockets before it
// looks for their holders, and what closes in between seems to be hidden, or
// held by nobody.
func (g *Engine) hindsight(e *entry, s *whose.Session, r *bpfevent.Record) {
	if d := e.Direction(r.Origin, pair.MayBeTaken); d != 0 {
		e.direction, s.Direction = d, d
	}
	if len(s.Owners) == 0 && (s.Reason == whose.ReasonHidden || s.Reason == whose.ReasonUnheld) {
		if set := g.ownersOf(r); set != 0 {
			g.assign(e, set)
			s.Owners, s.Reason = g.processes.owners(set), whose.ReasonNone
		} else if r.Kind == bpfevent.TCPClose {
			e.reason, s.Reason = whose.ReasonRaced, whose.ReasonRaced
		}
	}
	g.rematch(e)
}

// facing gives the sessions of the first snapshot their peers' owners. It
// leaves out the sessions that do not meet a filter on peers.
func (c *reconciler) facing(standing []whose.Session) []whose.Session {
	if !c.want.Needs.Has(whose.NeedPeer) && !c.want.Late {
		return standing
	}
	kept := standing[:0]
	for i := range standing {
		s := &standing[i]
		e := entry{End: pair.Of(s), opened: c.Began}
		s.Peer = c.peers.of(&e)
		stood := whose.Event{
			Time: time.Unix(0, c.Base+int64(c.Began)), Kind: whose.EventStanding,
			Lifetime: whose.Lifetime{StoodBefore: true}, Session: *s,
		}
		if !c.want.Late || c.want.Match.MatchEvent(&stood) {
			kept = append(kept, *s)
		}
	}
	return kept
}
