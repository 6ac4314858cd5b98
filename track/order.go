package track

import (
	"math"
	"slices"

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
	// maxHeld bounds the events that are held; about 200 bytes each, since most
	// share a life with another. Where more are waiting, the older half is given out.
	maxHeld = 1 << 14
)

// order holds the events that were not given out yet.
type order struct {
	// waits tells that somebody calls settle; else each event is given out at once.
	waits bool
	held  []moment
	keys  []uint64 // used again
	// out are those that are being given out.
	out []moment
	// lives are some to be written.
	lives []life
	// asked is the event that a filter is asked about.
	asked     whose.Event
	askedInfo whose.TCPInfo
}

// A key has the time of an event and, below it, its place among those that are
// held: keys are in order where these are. Times are counted from the last that
// is due, backwards; what is six days or more before it is taken for that.
const (
	placeBits = 15
	firstTime = 1<<(64-placeBits) - 1
)

// lifeBlock is how many lives are allocated at once.
const lifeBlock = 64

// newLife returns a life to be written.
func (o *order) newLife() *life {
	if len(o.lives) == 0 {
		o.lives = make([]life, lifeBlock)
	}
	l := &o.lives[0]
	o.lives = o.lives[1:]
	return l
}

// keep holds an event of a session at a time by the boot clock.
func (g *engine) keep(kind whose.EventKind, l *life, at uint64) {
	g.hold(g.moment(kind, l, at))
}

// moment makes an event of a session.
func (g *engine) moment(kind whose.EventKind, l *life, at uint64) moment {
	return moment{life: l, at: at, wall: g.base + int64(at), kind: kind}
}

// hold holds events.
func (g *engine) hold(some ...moment) {
	o := &g.order
	for _, m := range some {
		m.life.held++
	}
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
	due := o.keys[:min(len(o.keys), most)]
	for _, k := range due {
		g.giveOut(&o.held[k&(1<<placeBits-1)])
	}
	if len(due) > 0 {
		o.held = slices.DeleteFunc(o.held, func(m moment) bool { return m.life == nil })
	}
	g.halves.expire(g.now)
	if len(o.out) > 0 {
		g.emit(o.out)
		clear(o.out)
		o.out = o.out[:0]
	}
}

// giveOut gives out an event that was held. Whoever reads it reads its life from
// then on, so that one that still waits for its other end is copied.
func (g *engine) giveOut(m *moment) {
	l := m.life
	l.held--
	switch {
	case !g.complete(m):
	case l.half != 0 && l.held > 0:
		own := g.order.newLife()
		own.facts = l.facts
		g.order.out = append(g.order.out, moment{life: own, at: m.at, wall: m.wall, kind: m.kind})
	default:
		g.order.out = append(g.order.out, *m)
	}
	if l.held == 0 {
		g.halves.leave(l)
	}
	m.life = nil
}

// sort makes the keys of the events until that time, in order.
func (o *order) sort(until uint64) {
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
	if m.kind == whose.EventLost {
		return true
	}
	if l.seek {
		l.peer, l.seek = g.peerOf(&l.entry), false
	}
	if !g.want.late {
		return true
	}
	m.write(&g.order.asked, func() *whose.TCPInfo { return &g.order.askedInfo })
	return g.want.match.MatchEvent(&g.order.asked)
}
