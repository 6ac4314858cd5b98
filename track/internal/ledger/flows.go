package ledger

import "github.com/seed-44df2ae6/whose"

// A Flow is a UDP flow that the kernel counts.
type Flow struct {
	Key FlowKey
	// Last is when the last datagram went, by the boot clock in nanoseconds.
	Last           uint64
	Sent, Received whose.Traffic
}

// A FlowScan is one look at all flows that the kernel counts.
type FlowScan struct {
	book   *book
	number uint32
	// began is when it began: a flow that is newer need not be in it.
	began uint64
	// after is the time without a datagram after which a flow is over.
	after uint64
}

// ScanFlows begins a scan.
func (g *Engine) ScanFlows(now, after uint64) FlowScan {
	g.now = max(g.now, now)
	g.scans++
	return FlowScan{&g.book, g.scans, now, after}
}

// Idle notes that the kernel counts a flow, and reports whether it had no
// datagram for so long that it is over.
func (s *FlowScan) Idle(f *Flow) bool {
	if p, ok := s.book.table.flows[f.Key]; ok {
		e := s.book.table.at(p)
		e.scan, e.missed = s.number, 0
	}
	return f.Last+s.after <= s.began
}

// EndIdle: the kernel counts a flow no longer, since it was idle. A datagram
// after this begins a new one.
func (s *FlowScan) EndIdle(f *Flow) {
	p, ok := s.book.table.flows[f.Key]
	if !ok {
		return
	}
	e := s.book.table.at(p)
	s.book.outbox.emitFlowEnd(e, whose.EndIdle, s.book.now, f.Last, f.Sent, f.Received)
	s.book.drop(p)
}

// End ends the flows that the kernel counted once and does no longer, without
// having told: their record was lost. Twice in a row, since the record may still
// be under way.
func (s *FlowScan) End() {
	for _, p := range s.book.table.flows {
		e := s.book.table.at(p)
		if !e.is(counted) || e.scan == s.number || e.opened >= s.began {
			continue
		}
		if s.book.miss(e) {
			s.book.vanish(p, s.book.now)
		}
	}
}
