package track

import (
	"math"
	"slices"
	"time"
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
	// maxHeld bounds the events that are held; about 450 bytes each. Where more
	// happens between two looks, the older half is given out.
	maxHeld = 1 << 14
)

// A heldEvent is an event that was not given out yet.
type heldEvent struct {
	event *Event // nil: it was
	// end is where the table had the session, to find its other end by; nil
	// where that is not asked.
	end *entry
	// at is the time by the boot clock.
	at uint64
}

// order holds the events that were not given out yet.
type order struct {
	// waits tells that somebody calls settle; else each event is given out at once.
	waits bool
	held  []heldEvent
	keys  []uint64 // used again
	// next is the event that is being made, at its time by the boot clock;
	// spare are those that were read.
	next  *Event
	at    uint64
	spare []*Event
}

// A key has the time of an event and, below it, its place among those that are
// held: keys are in order where these are. Times are counted from the first;
// what is 13 days or more after it is taken for that.
const (
	placeBits = 14
	lastTime  = 1<<(64-placeBits) - 1
)

// slot returns an empty event to be made.
func (o *order) slot() *Event {
	if o.next == nil {
		if n := len(o.spare); n > 0 {
			o.next, o.spare = o.spare[n-1], o.spare[:n-1]
		} else {
			o.next = new(Event)
		}
	}
	return o.next
}

// keep holds the event that was made.
func (g *engine) keep(end *entry, at uint64) {
	o := &g.order
	o.held = append(o.held, heldEvent{o.next, end, at})
	o.next = nil
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
		h := &o.held[k&(maxHeld-1)]
		if g.complete(h) {
			g.emit(h.event)
		} else {
			*h.event = Event{}
			o.spare = append(o.spare, h.event)
		}
		h.event = nil
	}
	left := 0
	for i := range o.held {
		if o.held[i].event == nil {
			continue
		}
		if left != i {
			o.held[left] = o.held[i]
		}
		left++
	}
	clear(o.held[left:])
	o.held = o.held[:left]
	g.exhume()
	if g.settled != nil {
		o.spare = g.settled(o.spare)
	}
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
func (g *engine) complete(h *heldEvent) bool {
	ev := h.event
	if ev.Kind == Lost {
		return true
	}
	// The place may be another session's by now, if that took long.
	if e := h.end; e != nil && e.is(linked) && e.cookie == ev.Session.Cookie && e.inode == ev.Session.Inode {
		ev.Session.Peer = g.peerOf(e)
	}
	return !g.want.late || g.want.match.Match(&ev.Session)
}
