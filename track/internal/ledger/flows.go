package ledger

import "github.com/seed-44df2ae6/whose"

// A Flow is a UDP flow that the kernel counts.
type Flow struct {
	Key FlowKey
	// Last is the time of the last datagram, by the boot clock in nanoseconds.
	Last           uint64
	Sent, Received whose.Traffic
}

// A FlowScan is one look at all flows counted by the kernel.
type FlowScan struct {
	book   *book
	number uint32
	// began is the time when it began: newer flows may be absent.
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

// Idle notes that the kernel counts a flow. It reports whether the flow is
// over, after so long without a datagram.
func (s *FlowScan) Idle(f *Flow) bool {
	if p, ok := s.book.table.flows.Get(f.Key); ok {
		e := s.book.table.at(p)
		e.scan, e.missed = s.number, 0
	}
	return f.Last+s.after <= s.began
}

// EndIdle: the kernel counts a flow no longer, since it was idle. A later
// datagram begins a new flow.
func (s *FlowScan) EndIdle(f *Flow) {
	p, ok := s.book.table.flows.Get(f.Key)
	if !ok {
		return
	}
	e := s.book.table.at(p)
	s.book.outbox.emitFlowEnd(e, whose.EndIdle, s.book.now, f.Last, f.Sent, f.Received)
	s.book.drop(p)
}

// End ends the flows that the kernel dropped without a record: the record was
// lost. It waits for two scans in a row, since the record may still be under
// way.
func (s *FlowScan) End() {
	for _, p := range s.book.table.flows.All() {
		e := s.book.table.at(p)
		if !e.is(counted) || e.scan == s.number || e.opened >= s.began {
			continue
		}
		if s.book.miss(e) {
			s.book.vanish(p, s.book.now)
		}
	}
}
