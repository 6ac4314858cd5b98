package track

import (
	"math"
	"slices"
	"time"

	"github.com/seed-44df2ae6/whose"
)

// This file puts events into the order of their times. What the kernel tells of
// one socket comes in order, but a short connection is told whole at its end, a
// long one by the next look at the ring buffer. So what a look brings is held
// until the look is over, sorted, and given out, but for the last moments before
// it: these may have events that only the next look tells.
//
// By then the other ends are known too, which is where Session.Peer is filled.

const (
	// settlesAfter is how long before a look began all is told by it that can
	// be: a socket listens for 10 ms before it is told.
	settlesAfter = 10 * time.Millisecond
	// maxHeld bounds the events that are held; about 200 bytes each, since most
	// share a life with another. Where more happens between two looks, the older
	// half is given out.
	maxHeld = 1 << 14
)

// order holds the events that were not given out yet.
type order struct {
	// waits tells that somebody calls settle; else each event is given out at once.
	waits bool
	held  []moment
	keys  []uint64 // used again
	pool  lifePool
	// asked is the event that a filter is asked about.
	asked     Event
	askedInfo whose.TCPInfo
}

// A key has the time of an event and, below it, its place among those that are
// held: keys are in order where these are. Times are counted from the first;
// what is six days or more after it is taken for that.
const (
	placeBits = 15
	lastTime  = 1<<(64-placeBits) - 1
)

// keep holds an event of a session at a time by the boot clock.
func (g *engine) keep(kind Kind, l *life, at uint64) {
	g.hold(g.moment(kind, l, at))
}

// moment makes an event of a session.
func (g *engine) moment(kind Kind, l *life, at uint64) moment {
	l.events++
	return moment{life: l, at: at, wall: g.base + int64(at), kind: kind}
}

// hold holds events.
func (g *engine) hold(some ...moment) {
	o := &g.order
	o.held = append(o.held, some...)
	switch {
	case !o.waits:
		g.settle(math.MaxUint64, maxHeld)
	case len(o.held) >= maxHeld:
		g.settle(math.MaxUint64, maxHeld/2)
	}
}

// settle gives out the events until a time by the boot clock in the order of
// their times, at most so many.
func (g *engine) settle(until uint64, most int) {
	o := &g.order
	o.sort(until)
	for _, k := range o.keys[:min(len(o.keys), most)] {
		m := &o.held[k&(1<<placeBits-1)]
		if g.complete(m) {
			m.life.given++
			g.emit(*m)
		} else {
			m.life.events--
		}
		if l := m.life; l.given == l.events {
			g.halves.leave(l, nil)
			if l.events == 0 {
				o.pool.give(l)
			}
		}
		m.life = nil
	}
	left := o.held[:0]
	for _, m := range o.held {
		if m.life != nil {
			left = append(left, g.part(m))
		}
	}
	clear(o.held[len(left):])
	o.held = left
	g.halves.expire(g.now)
	if g.settled != nil {
		o.pool = g.settled(o.pool)
	}
}

// part gives an event that is held a life of its own, where another event of
// its life was given out: whoever reads that reads all of it.
func (g *engine) part(m moment) moment {
	if m.life.given == 0 {
		return m
	}
	own := g.order.pool.take()
	*own = *m.life
	own.given, own.half, own.events = 0, 0, 1
	g.halves.leave(m.life, own)
	m.life.events--
	m.life = own
	return m
}

// sort makes the keys of the events until that time, in order.
func (o *order) sort(until uint64) {
	first := uint64(math.MaxUint64)
	for i := range o.held {
		first = min(first, o.held[i].at)
	}
	o.keys = o.keys[:0]
	for i := range o.held {
		if at := o.held[i].at; at <= until {
			o.keys = append(o.keys, min(at-first, lastTime)<<placeBits|uint64(i))
		}
	}
	slices.Sort(o.keys)
}

// together holds what do tells until it returns, so that what it tells of the
// one end knows the other.
func (g *engine) together(do func()) {
	before := g.order.waits
	g.order.waits = true
	do()
	if g.order.waits = before; !before {
		g.settle(math.MaxUint64, maxHeld)
	}
}

// complete adds what is known only when an event is given out, and reports
// whether it is wanted.
func (g *engine) complete(m *moment) bool {
	l := m.life
	if m.kind == Lost {
		return true
	}
	if l.seek {
		l.peer, l.seek = g.peerOf(&l.entry), false
	}
	if !g.want.late {
		return true
	}
	m.write(&g.order.asked, func() *whose.TCPInfo { return &g.order.askedInfo })
	return g.want.match.Match(&g.order.asked.Session)
}
