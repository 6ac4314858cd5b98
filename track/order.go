package track

import (
	"cmp"
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
	// maxHeld bounds the events that are held; about 550 bytes each. Where more
	// happens between two looks, the older half is given out.
	maxHeld = 1 << 14
)

// A heldEvent is an event that was not given out yet.
type heldEvent struct {
	event Event
	// end is the session as the table had it, to find its other end by.
	end entry
	// at is the time by the boot clock.
	at   uint64
	done bool
}

// order holds the events that were not given out yet.
type order struct {
	// waits tells that somebody calls settle; else each event is given out at once.
	waits bool
	held  []heldEvent
	keys  []orderKey // used again
}

// An orderKey is the place of an event among those that are held.
type orderKey struct {
	at    uint64
	index int
}

func compareKeys(a, b orderKey) int {
	if a.at != b.at {
		return cmp.Compare(a.at, b.at)
	}
	return a.index - b.index
}

// slot returns room for one more event, which is held once keep was called.
func (o *order) slot() *heldEvent {
	n := len(o.held)
	o.held = slices.Grow(o.held, 1)
	return &o.held[:n+1][n]
}

// keep holds the event that was written to the slot.
func (g *engine) keep() {
	o := &g.order
	o.held = o.held[:len(o.held)+1]
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
	o.keys = o.keys[:0]
	for i := range o.held {
		if at := o.held[i].at; at <= until {
			o.keys = append(o.keys, orderKey{at, i})
		}
	}
	if !slices.IsSortedFunc(o.keys, compareKeys) {
		slices.SortFunc(o.keys, compareKeys)
	}
	for _, k := range o.keys[:min(len(o.keys), most)] {
		h := &o.held[k.index]
		h.done = true
		if g.complete(h) {
			g.emit(&h.event)
		}
	}
	left := 0
	for i := range o.held {
		if o.held[i].done {
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
	ev := &h.event
	switch ev.Kind {
	case Lost:
		return true
	case Open, Close, Owned:
		ev.Session.Peer = g.peerOf(&h.end)
	}
	return !g.want.late || g.want.match.Match(&ev.Session)
}
