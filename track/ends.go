package track

import (
	"encoding/binary"
	"hash/maphash"
	"time"

	"github.com/seed-44df2ae6/whose"
)

// This file finds the other end of a session where that is a session of this
// host too. Sessions with a remote end are in a hash table in which both ends of
// a connection come to the same chain; the chains run through the entries, so
// that all it takes is 8 to 16 bytes a session.
//
// An end that is gone stays in its chain for a moment, as a grave: of a short
// connection both ends may be gone before one of them is told.

// ends is the table of chains. The zero value is empty and ready.
type ends struct {
	heads []chain // at least twice as many as are linked
	used  int
	salt  uint64 // of the hash
	// graves from the first to the last, linked by entry.scan.
	firstGrave, lastGrave uint32
	graves                int
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

const (
	// maxChain bounds the sessions of one chain: only what has the very same two
	// ends, in many namespaces or on purpose, comes to so many. What is beyond
	// is not found from its other end.
	maxChain = 32
	// graveKeeps is how long an end that is gone is found, in nanoseconds: what
	// the kernel tells of the other comes within two looks at the ring buffer.
	graveKeeps = uint64(250 * time.Millisecond)
	// maxGraves bounds those that are kept, 2 MiB.
	maxGraves = 1 << 14
)

// localEnd is the address that the other side knows a session by. What a UDP
// socket without an address of its own sends to an address of this host, it
// sends from that same address, and within 127.0.0.0/8 from 127.0.0.1.
func (e *entry) localEnd() [16]byte {
	if !isDatagram(e.proto) || !isUnspecified(&e.local) {
		return e.local
	}
	if isMapped(&e.remote) && e.remote[12] == 127 {
		return loopbackIPv4
	}
	return e.remote
}

var loopbackIPv4 = [16]byte{10: 0xff, 11: 0xff, 12: 127, 15: 1}

func isLoopback(a *[16]byte) bool {
	return isMapped(a) && a[12] == 127 || *a == [16]byte{15: 1}
}

// faces reports whether o is the other end of e by its addresses and ports.
func (e *entry) faces(o *entry) bool {
	return e.localPort == o.remotePort && e.remotePort == o.localPort && isDatagram(e.proto) == isDatagram(o.proto) &&
		e.localEnd() == o.remote && e.remote == o.localEnd()
}

// chain returns the chain of both ends of a session.
func (x *ends) chain(e *entry) *chain {
	local := e.localEnd()
	h := x.hash(&local, e.localPort) + x.hash(&e.remote, e.remotePort)
	return &x.heads[h&uint64(len(x.heads)-1)]
}

func (x *ends) hash(a *[16]byte, port uint16) uint64 {
	h := (binary.LittleEndian.Uint64(a[:]) ^ x.salt) * 0x9e3779b97f4a7c15
	h = (h ^ h>>29 ^ binary.LittleEndian.Uint64(a[8:]) ^ uint64(port)<<13) * 0xd6e8feb86659fd93
	return h ^ h>>32
}

// link puts the session at p into its chain, if it has a remote end.
func (t *table) link(p place) {
	e := t.at(p)
	if e.remotePort == 0 || e.state == whose.Listen {
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
		x.salt = maphash.Bytes(maphash.MakeSeed(), nil) // whoever chooses ports shall not choose chains
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
	if e.remotePort == 0 || len(t.byEnds.heads) == 0 {
		return nil
	}
	var best *entry
	for at := t.byEnds.chain(e).first(); at != 0; {
		o := t.at(place(at - 1))
		at = o.next
		if !e.faces(o) || o.netns != e.netns && isLoopback(&e.remote) {
			continue
		}
		if best == nil || e.nearer(o, best) {
			best = o
		}
	}
	return best
}

// nearer reports whether a is rather the other end of e than b is.
func (e *entry) nearer(a, b *entry) bool {
	if (a.netns == e.netns) != (b.netns == e.netns) {
		return a.netns == e.netns
	}
	return apart(a.opened, e.opened) < apart(b.opened, e.opened)
}

func apart(a, b uint64) uint64 { return max(a, b) - min(a, b) }

// bury keeps the session at p, which is in the table no longer, as a grave.
func (t *table) bury(p place, now uint64) {
	e, x := t.at(p), &t.byEnds
	e.flags = e.flags&^(inUse|wanted) | grave
	e.missedAt, e.scan = now, 0
	if x.lastGrave == 0 {
		x.firstGrave = uint32(p) + 1
	} else {
		t.at(place(x.lastGrave - 1)).scan = uint32(p) + 1
	}
	x.lastGrave = uint32(p) + 1
	x.graves++
}

// exhume frees the oldest grave if it was kept for long enough, and returns the
// owners that it referred to.
func (t *table) exhume(now uint64) (setID, bool) {
	x := &t.byEnds
	if x.firstGrave == 0 {
		return 0, false
	}
	p := place(x.firstGrave - 1)
	e := t.at(p)
	if x.graves <= maxGraves && e.missedAt+graveKeeps > now {
		return 0, false
	}
	if x.firstGrave = e.scan; x.firstGrave == 0 {
		x.lastGrave = 0
	}
	x.graves--
	owners := e.owners
	t.unlink(p)
	t.release(p)
	return owners, true
}

// exhume frees the graves that were kept for long enough.
func (g *engine) exhume() {
	for {
		owners, ok := g.table.exhume(g.now)
		if !ok {
			return
		}
		g.people.release(owners)
	}
}

// peerOf returns the owners of the other end of a session, nil where that is
// not on this host. It may itself still wait for the process that accepts it.
func (g *engine) peerOf(e *entry) []whose.Owner {
	return g.ownersAt(g.table.other(e))
}

// ownersAt returns the owners of the other end, nil for none.
func (g *engine) ownersAt(o *entry) []whose.Owner {
	if o == nil {
		return nil
	}
	if o.owners == 0 && o.reason == whose.ReasonAcceptQueue {
		return g.people.owners(g.listenerOwners(o))
	}
	return g.people.owners(o.owners)
}
