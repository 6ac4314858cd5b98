package ledger

import (
	"time"

	"github.com/seed-44df2ae6/whose"
)

// A lifetime is the content of a session's events. A connection known whole by
// its end has one lifetime for both of its events. About 280 bytes. A reader
// makes the event from it, so that the waiting part is small and written once.
type lifetime struct {
	facts
	// held counts its events that were not emitted yet. awaits is the place plus
	// one of its own end among the recent ends, where it waits for the peer (0:
	// it does not). Both belong to the outbox.
	held, awaits uint32
}

// facts are a session at the time of an event, its owners, and its results. The
// engine writes them until the first event with them is emitted, and nobody
// writes them after that.
type facts struct {
	entry entry
	// owners, peer and labels are never written again.
	owners, peer []whose.Owner
	labels       *labels

	// The results (Close, Fail).
	duration       time.Duration
	sent, received whose.Traffic
	rtt, retrans   uint32
	errno          uint32
	end            whose.End
	by             whose.Side
	// counted: received, sent, rtt and retrans come from TCP.
	counted bool
	// uncounted: nobody knows the traffic.
	uncounted bool
	// seek: the peer is looked for when the event is emitted.
	seek bool

	lost Loss // of Lost
}

// An Event is an event not read yet.
type Event struct {
	lifetime *lifetime
	// at is the time of the event by the boot clock, wall by the wall clock, in
	// nanoseconds.
	at   uint64
	wall int64
	kind whose.EventKind
}

// LossOf returns the event that reports lost events.
func LossOf(l Loss, now time.Time, at uint64) Event {
	return Event{lifetime: &lifetime{facts: facts{lost: l}}, at: at, wall: now.UnixNano(), kind: whose.EventLost}
}

// labels are the names shown with a session.
type labels struct{ user, netns, device, unit, container string }

// Write makes the event. info returns room for the TCP figures, if there are
// any.
func (m *Event) Write(ev *whose.Event, info func() *whose.TCPInfo) {
	l := m.lifetime
	*ev = whose.Event{Time: time.Unix(0, m.wall), Kind: m.kind}
	if m.kind == whose.EventLost {
		ev.Lost, ev.Cause, ev.Why = l.lost.N, l.lost.Cause, l.lost.Why
		return
	}
	e, s := &l.entry, &ev.Session
	if ev.StoodBefore = e.is(since); !ev.StoodBefore && m.kind != whose.EventFail && m.kind != whose.EventLost {
		ev.Opened = time.Unix(0, m.wall-int64(m.at)+int64(e.opened))
	}
	e.write(s)
	s.Owners, s.Peer = l.owners, l.peer
	l.labels.write(e, s)
	if m.kind != whose.EventStanding { // queues come from a snapshot, perhaps an old one
		s.Unknown |= whose.FactRecvQueue
		if s.State != whose.Listen {
			s.Unknown |= whose.FactSendQueue
		}
	}
	if m.kind != whose.EventClose && m.kind != whose.EventFail && m.kind != whose.EventUnlisten {
		return
	}
	ev.End, ev.By, ev.Errno, ev.Duration = l.end, l.by, l.errno, l.duration
	ev.Sent, ev.Received = l.sent, l.received
	if m.kind == whose.EventUnlisten {
		return
	}
	ev.Closed = ev.Time
	if m.kind == whose.EventFail {
		return
	}
	ev.Counted = !l.uncounted && l.end != whose.EndNone || l.sent != whose.Traffic{} || l.received != whose.Traffic{}
	s.State = whose.Close
	if l.counted {
		s.TCP = info()
		*s.TCP = whose.TCPInfo{
			RTT: time.Duration(l.rtt) * time.Microsecond, Retrans: l.retrans,
			BytesSent: l.sent.Bytes, BytesReceived: l.received.Bytes,
		}
	}
}

// write sets the names of a session, and clears the old ones.
func (l *labels) write(e *entry, s *whose.Session) {
	s.User, s.NetNSName, s.BoundDev, s.Unit, s.Container = l.user, l.netns, l.device, l.unit, l.container
	s.Scope = ""
	if e.unknown.Has(whose.FactUID) {
		s.User = ""
	}
	if l.device != "" && e.Family == whose.IPv6 &&
		(s.Local.Addr().IsLinkLocalUnicast() || s.Remote.Addr().IsLinkLocalUnicast()) {
		s.Scope = l.device
	}
}

// A Loss is a number of events lost at one place.
type Loss struct {
	N     uint64
	Cause whose.Cause
	Why   string // as in [whose.Event].Why
}
