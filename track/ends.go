package track

import (
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/pair"
)

// This file finds the other end of a session where that is a session of this
// host too. Sessions with a remote end are in a hash table in which both ends of
// a connection come to the same chain; the chains run through the entries, so
// that all it takes is 8 to 16 bytes a session.
// What is gone from the table is in halves.go.

// ends is the table of chains. The zero value is empty and ready.
type ends struct {
	heads []chain // at least twice as many as are linked
	used  int
	salt  uint64 // of the hash
}

// A chain is that of the sessions with the same two ends, and now and then of
// others: the place of the first plus one, 0 for none, and above it how many
// there are.
type chain uint32

const (
	chainPlaces = 26 // bits; what is further up in the table is not linked
	chainFirst  = 1<<chainPlaces - 1
	chainOne    = 1 << chainPlaces
)

func (c chain) first() uint32 { return uint32(c) & chainFirst }
func (c chain) len() int      { return int(c >> chainPlaces) }

// push makes the place at the first of the chain, and returns what it is before.
func (c *chain) push(at uint32) (next uint32) {
	next = c.first()
	*c = *c&^chainFirst + chainOne | chain(at)
	return next
}

// maxChain bounds the sessions of one chain: only what has the very same two
// ends, in many namespaces or on purpose, comes to so many. What is beyond is
// not found from its other end.
const maxChain = 32

// chain returns the chain of both ends of a session.
func (x *ends) chain(e *entry) *chain {
	return &x.heads[e.Hash(x.salt)&uint64(len(x.heads)-1)]
}

// link puts the session at p into its chain, if it has a remote end.
func (t *table) link(p place) {
	e := t.at(p)
	if e.RemotePort == 0 || e.State == whose.Listen {
		return
	}
	if 2*t.byEnds.used >= len(t.byEnds.heads) {
		t.growEnds()
	}
	c := t.byEnds.chain(e)
	if c.len() >= maxChain || p >= chainFirst {
		return
	}
	e.next = c.push(uint32(p) + 1)
	e.flags |= linked
	t.byEnds.used++
}

// growEnds doubles the table.
func (t *table) growEnds() {
	x := &t.byEnds
	if x.heads == nil {
		x.salt = drawSalt()
	}
	old := x.heads
	x.heads = make([]chain, max(2*len(old), 1024))
	for _, c := range old {
		for at := c.first(); at != 0; {
			e := t.at(place(at - 1))
			at, e.next = e.next, x.chain(e).push(at)
		}
	}
}

// unlink takes the session at p out of its chain.
func (t *table) unlink(p place) {
	e := t.at(p)
	c := t.byEnds.chain(e)
	*c -= chainOne
	if c.first() == uint32(p)+1 {
		*c = *c&^chainFirst | chain(e.next)
	} else {
		before := t.at(place(c.first() - 1))
		for before.next != uint32(p)+1 {
			before = t.at(place(before.next - 1))
		}
		before.next = e.next
	}
	e.flags &^= linked
	t.byEnds.used--
}

// other returns the other end of a session: in its own network namespace before
// one in another, and of several that had these ends one after the other the one
// that opened when e did. Nil: it is not on this host, or not known.
func (t *table) other(e *entry) *entry {
	if e.RemotePort == 0 || len(t.byEnds.heads) == 0 {
		return nil
	}
	var best *entry
	for at := t.byEnds.chain(e).first(); at != 0; {
		o := t.at(place(at - 1))
		at = o.next
		if e.Faces(&o.End) && (best == nil || e.Nearer(e.opened, o.NetNS, o.opened, best.NetNS, best.opened)) {
			best = o
		}
	}
	return best
}

// sameOpening is less than what is between two connections with the same ends,
// and more than what is between the two ends of one on this host, in nanoseconds.
const sameOpening = uint64(5 * time.Millisecond)

// An otherEnd is the other end of a session: in the table, or gone from it.
type otherEnd struct {
	entry *entry
	half  uint32 // its place plus one
}

// other finds the other end of a session, which itself is in the table or not.
func (g *engine) other(e *entry) otherEnd {
	f := otherEnd{entry: g.table.other(e), half: g.halves.other(e)}
	if f.entry != nil && f.half != 0 {
		if h := g.halves.at(f.half); e.Nearer(e.opened, h.NetNS, h.opened, f.entry.NetNS, f.entry.opened) {
			f.entry = nil
		} else {
			f.half = 0
		}
	}
	return f
}

// peer returns the owners of the other end and when it opened, false where
// there is none. It may itself still wait for the process that accepts it.
func (g *engine) peer(f otherEnd) (owners []whose.Owner, opened uint64, found bool) {
	switch {
	case f.entry != nil:
		return g.shownOwners(f.entry), f.entry.opened, true
	case f.half != 0:
		h := g.halves.at(f.half)
		return h.owners, h.opened, true
	}
	return nil, 0, false
}

// peerOf returns the owners of the other end of a session, nil where that is
// not on this host.
func (g *engine) peerOf(e *entry) []whose.Owner {
	owners, _, _ := g.peer(g.other(e))
	return owners
}

// showsPeers reports whether anybody wants to know the other ends.
func (g *engine) showsPeers() bool { return g.want.needs.Has(whose.NeedPeer) || g.want.late }

// face fills in the other end of what is told of a session in the table, where
// it is known by now. One that opened at another time may be that of a
// connection before: then it is looked for when the event is given out.
func (g *engine) face(l *life) {
	if !g.showsPeers() || l.entry.RemotePort == 0 {
		return
	}
	f := g.other(&l.entry)
	owners, opened, found := g.peer(f)
	if !found || owners == nil || pair.Apart(opened, l.entry.opened) > sameOpening {
		l.seek = true
		return
	}
	l.peer = owners
	g.halves.tell(f.half, l.owners)
}
