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
// that all it takes is 4 to 8 bytes a session.
//
// An end that is gone stays in its chain for a moment, as a grave: of a short
// connection both ends may be gone before one of them is told.

// ends is the table of chains. The zero value is empty and ready.
type ends struct {
	// heads are places plus one; 0 is the end of a chain.
	heads []uint32
	used  int
	salt  uint64 // of the hash
	// graves from the first to the last, linked by entry.scan.
	firstGrave, lastGrave uint32
	graves                int
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
func (x *ends) chain(e *entry) *uint32 {
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
	if t.byEnds.used >= len(t.byEnds.heads) {
		t.growEnds()
	}
	head := t.byEnds.chain(e)
	n := 0
	for at := *head; at != 0; at = t.at(place(at - 1)).next {
		if n++; n >= maxChain {
			return
		}
	}
	e.next, *head = *head, uint32(p)+1
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
	x.heads = make([]uint32, max(2*len(old), 1024))
	for _, at := range old {
		for at != 0 {
			e := t.at(place(at - 1))
			head := x.chain(e)
			at, e.next, *head = e.next, *head, at
		}
	}
}

// unlink takes the session at p out of its chain.
func (t *table) unlink(p place) {
	e := t.at(p)
	for at := t.byEnds.chain(e); *at != 0; at = &t.at(place(*at - 1)).next {
		if *at == uint32(p)+1 {
			*at = e.next
			break
		}
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
	for at := *t.byEnds.chain(e); at != 0; {
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
	o := g.table.other(e)
	if o == nil {
		return nil
	}
	if o.owners == 0 && o.reason == whose.ReasonAcceptQueue {
		return g.people.owners(g.listenerOwners(o))
	}
	return g.people.owners(o.owners)
}
