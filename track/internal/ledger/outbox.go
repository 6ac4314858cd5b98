package ledger

import (
	"math"
	"slices"

	"github.com/seed-44df2ae6/whose"
)

// This file puts events into the order of their times. The kernel's records of
// one socket come in order. But a short connection is reported whole at its
// end, and a long one at the next look at the ring buffer. So the outbox holds
// the events of a look until the look is over, sorts them, and emits them. It
// keeps back the last moments before the look: the next look may bring more
// events of that time.
//
// By then the peers are known too, and Session.Peer is filled.

const (
	// maxHeld bounds the held events; about 200 bytes each, since most share a
	// lifetime with another. When it is reached, the older half is emitted.
	maxHeld = 1 << 14
)

// An outbox holds the events that were not emitted yet.
type outbox struct {
	clock *clock
	want  *Want
	peers *peers
	// deliver takes emitted events; the slice is used again.
	deliver func([]Event)
	// holds: somebody calls settle; otherwise each event is emitted at once.
	holds bool
	held  []Event
	keys  []uint64 // used again
	// out are the events being emitted.
	out []Event
	// lifetimes are unused ones.
	lifetimes []lifetime
	// asked is the event given to a filter.
	asked     whose.Event
	askedInfo whose.TCPInfo
}

// A key has the time of an event and, below it, its place among the held
// events. Keys sort as their events do. Times count backwards from the last one
// due; anything six days or more before it counts as six days.
const (
	placeBits = 15
	firstTime = 1<<(64-placeBits) - 1
)

// lifetimeBlock is the number of lifetimes allocated at once.
const lifetimeBlock = 64

// newLifetime returns an unused lifetime.
func (o *outbox) newLifetime() *lifetime {
	if len(o.lifetimes) == 0 {
		o.lifetimes = make([]lifetime, lifetimeBlock)
	}
	l := &o.lifetimes[0]
	o.lifetimes = o.lifetimes[1:]
	return l
}

// keep holds an event of a session at a time by the boot clock.
func (o *outbox) keep(kind whose.EventKind, l *lifetime, at uint64) {
	o.hold(o.event(kind, l, at))
}

// event makes an event of a session.
func (o *outbox) event(kind whose.EventKind, l *lifetime, at uint64) Event {
	return Event{lifetime: l, at: at, wall: o.clock.Base + int64(at), kind: kind}
}

func (o *outbox) hold(some ...Event) {
	for _, m := range some {
		m.lifetime.held++
	}
	o.held = append(o.held, some...)
	switch {
	case !o.holds:
		o.settle(math.MaxUint64, maxHeld)
	case len(o.held) >= maxHeld:
		o.settle(math.MaxUint64, maxHeld/2)
	}
}

// settle emits the events until a time by the boot clock, in the order of their
// times, at most so many.
func (o *outbox) settle(until uint64, most int) {
	o.sort(until)
	due := o.keys[:min(len(o.keys), most)]
	for _, k := range due {
		o.giveOut(&o.held[k&(1<<placeBits-1)])
	}
	if len(due) > 0 {
		o.held = slices.DeleteFunc(o.held, func(m Event) bool { return m.lifetime == nil })
	}
	o.peers.recent.expire(o.clock.now)
	if len(o.out) > 0 {
		o.deliver(o.out)
		clear(o.out)
		o.out = o.out[:0]
	}
}

// giveOut emits a held event. Its reader reads its lifetime from then on, so a
// lifetime that still waits for its peer is copied.
func (o *outbox) giveOut(m *Event) {
	l := m.lifetime
	l.held--
	switch {
	case !o.complete(m):
	case l.awaits != 0 && l.held > 0:
		own := o.newLifetime()
		own.facts = l.facts
		o.out = append(o.out, Event{lifetime: own, at: m.at, wall: m.wall, kind: m.kind})
	default:
		o.out = append(o.out, *m)
	}
	if l.held == 0 {
		o.peers.recent.release(l)
	}
	m.lifetime = nil
}

// sort makes the keys of the events until a time, in order.
func (o *outbox) sort(until uint64) {
	if until == math.MaxUint64 {
		until = 0
		for i := range o.held {
			until = max(until, o.held[i].at)
		}
	}
	o.keys = o.keys[:0]
	for i := range o.held {
		if at := o.held[i].at; at <= until {
			o.keys = append(o.keys, (firstTime-min(until-at, firstTime))<<placeBits|uint64(i))
		}
	}
	slices.Sort(o.keys)
}

// batch holds the events of do until do returns, so that an event of one end
// knows the other end.
func (o *outbox) batch(do func()) {
	before := o.holds
	o.holds = true
	do()
	if o.holds = before; !before {
		o.settle(math.MaxUint64, maxHeld)
	}
}

// complete adds the facts known only when an event is emitted, and reports
// whether the event is wanted.
func (o *outbox) complete(m *Event) bool {
	l := m.lifetime
	if m.kind == whose.EventLost {
		return true
	}
	if l.seek {
		l.peer, l.seek = o.peers.of(&l.entry), false
	}
	if !o.want.Late {
		return true
	}
	m.Write(&o.asked, func() *whose.TCPInfo { return &o.askedInfo })
	return o.want.Match.MatchEvent(&o.asked)
}
