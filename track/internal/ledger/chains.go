package ledger

import "github.com/seed-44df2ae6/whose"

// This file finds the other end of a session where that is a session of this
// host too. Sessions with a remote end are in a hash table in which both ends of
// a connection come to the same chain; the chains run through the entries, so
// that all it takes is 8 to 16 bytes a session.
// What is gone from the table is in recent.go.

// chains is the hash table of ends. The zero value is empty and ready.
type chains struct {
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
func (x *chains) chain(e *entry) *chain {
	return &x.heads[e.Hash(x.salt)&uint64(len(x.heads)-1)]
}

// link puts the session at p into its chain, if it has a remote end.
func (t *table) link(p place) {
	e := t.at(p)
	if e.RemotePort == 0 || e.State == whose.Listen {
		return
	}
	if 2*t.chains.used >= len(t.chains.heads) {
		t.growChains()
	}
	c := t.chains.chain(e)
	if c.len() >= maxChain || p >= chainFirst {
		return
	}
	e.next = c.push(uint32(p) + 1)
	e.flags |= linked
	t.chains.used++
}

// growChains doubles the table.
func (t *table) growChains() {
	x := &t.chains
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
	c := t.chains.chain(e)
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
	t.chains.used--
}

// other returns the other end of a session: in its own network namespace before
// one in another, and of several that had these ends one after the other the one
// that opened when e did. Nil: it is not on this host, or not known.
func (t *table) other(e *entry) *entry {
	if e.RemotePort == 0 || len(t.chains.heads) == 0 {
		return nil
	}
	var best *entry
	for at := t.chains.chain(e).first(); at != 0; {
		o := t.at(place(at - 1))
		at = o.next
		if e.Faces(&o.End) && (best == nil || e.Nearer(e.opened, o.NetNS, o.opened, best.NetNS, best.opened)) {
			best = o
		}
	}
	return best
}
