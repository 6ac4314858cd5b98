package ledger

import (
	"time"

	"github.com/seed-44df2ae6/whose"
)

// A lifetime is what events say of a session. A connection that is known whole by
// its end has one for both of its events. About 280 bytes, of which an event is
// made when it is read: what waits in between is small, and is written once.
type lifetime struct {
	facts
	// held counts its events that were not given out yet. awaits is the place plus
	// one of its own end among the recent ones, where it waits for the other (0: it
	// does not). Both are the outbox's.
	held, awaits uint32
}

// facts are what a session was at the Event of an event, whose, and what it came
// to. They are written by the engine until the first event that tells them is
// given out, and by nobody after that.
type facts struct {
	entry entry
	// owners and peer are never written again, labels neither.
	owners, peer []whose.Owner
	labels       *labels

	// What it came to (Close, Fail).
	duration       time.Duration
	sent, received whose.Traffic
	rtt, retrans   uint32
	errno          uint32
	end            whose.End
	by             whose.Side
	// counted tells that received, sent, rtt and retrans are those of TCP.
	counted bool
	// seek tells that the other end is looked for when the event is given out.
	seek bool

	lost Loss // of Lost
}

// An Event is an event that was not read yet.
type Event struct {
	lifetime *lifetime
	// at is when it happened by the boot clock, wall by the wall clock, in nanoseconds.
	at   uint64
	wall int64
	kind whose.EventKind
}

// lossOf is the event that tells of lost ones.
func LossOf(l Loss, now time.Time, at uint64) Event {
	return Event{lifetime: &lifetime{facts: facts{lost: l}}, at: at, wall: now.UnixNano(), kind: whose.EventLost}
}

// labels are the names that a session is shown with.
type labels struct{ user, netns, device, unit, container string }

// Write makes the event. info returns room for its figures of TCP, if it has any.
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
	if m.kind != whose.EventStanding { // queues are those of a snapshot, which may be long ago
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
	ev.Counted = l.end != whose.EndNone || l.sent != whose.Traffic{} || l.received != whose.Traffic{}
	s.State = whose.Close
	if l.counted {
		s.TCP = info()
		*s.TCP = whose.TCPInfo{
			RTT: time.Duration(l.rtt) * time.Microsecond, Retrans: l.retrans,
			BytesSent: l.sent.Bytes, BytesReceived: l.received.Bytes,
		}
	}
}

// write gives a session the names, and takes away what was there.
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

// A Loss is so many events that were lost at one place.
type Loss struct {
	N     uint64
	Cause whose.Cause
	Why   string // as in [whose.Event].Why
}
