package ledger

import "github.com/seed-44df2ae6/whose"

// This file finds the peer of a session, where the peer is a session of this
// host too. Sessions with a remote end are in a hash table. Both ends of a
// connection fall into the same chain. The chains run through the entries, so
// they cost only 8 to 16 bytes a session. recent.go has the sessions gone from
// the table.

// chains is the hash table of ends. The zero value is empty and ready.
type chains struct {
	heads []chain // at least twice as many as are linked
	used  int
	salt  uint64 // of the hash
}

// A chain holds the sessions with the same two ends, and now and then others.
// It is the place of the first plus one, 0 for none, and above it their number.
type chain uint32

const (
	chainPlaces = 26 // bits; entries further up in the table are not linked
	chainFirst  = 1<<chainPlaces - 1
	chainOne    = 1 << chainPlaces
)

func (c chain) first() uint32 { return uint32(c) & chainFirst }
func (c chain) len() int      { return int(c >> chainPlaces) }

// push puts the place at the head of the chain. It returns the place that
// follows.
func (c *chain) push(at uint32) (next uint32) {
	next = c.first()
	*c = *c&^chainFirst + chainOne | chain(at)
	return next
}

// maxChain bounds the sessions of one chain. Only sessions with the very same
// two ends, in many namespaces or on purpose, become so many. Those beyond are
// not found from their other end.
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

// other returns the peer of a session. It prefers one in the same network
// namespace. Among several that had these ends one after the other, it prefers
// the one that opened when e did. Nil: the peer is not on this host, or
// unknown.
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
