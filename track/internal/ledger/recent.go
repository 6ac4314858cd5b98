package ledger

import (
	"hash/maphash"
	"time"

	"github.com/seed-44df2ae6/whose"
)

// This file keeps ends that left the table, or never were in it, until their
// other end is reported. Of a short connection both ends are reported whole,
// one after the other.

const (
	// recentKeeps is the time for which a recent end is found, in nanoseconds:
	// the record of its other end comes within two looks at the ring buffer.
	recentKeeps = uint64(250 * time.Millisecond)
	// maxRecentEnds bounds the recent ends, 2 MiB; the oldest goes.
	maxRecentEnds = 1 << 14
	// recentChains is the number of their chains.
	recentChains = 1 << 13
)

// A recentEnd is one end of a session that is gone.
type recentEnd struct {
	entry
	owners []whose.Owner
	// lifetime is the content of events that still lack the peer; nil: none.
	lifetime *lifetime
	gone     uint64 // by the boot clock
	// chain is the number of its chain, chained the next of that chain. before
	// and after are its neighbours by age. All but chain are places plus one.
	chain                  uint32
	chained, before, after uint32
}

// recentEnds are the ends that are gone. The zero value is empty and ready.
type recentEnds struct {
	all            []recentEnd
	free           []uint32 // places plus one
	chains         []uint32
	oldest, newest uint32
	salt           uint64
}

func drawSalt() uint64 { return maphash.Bytes(maphash.MakeSeed(), nil) }

func (x *recentEnds) at(p uint32) *recentEnd { return &x.all[p-1] }

func (x *recentEnds) len() int { return len(x.all) - len(x.free) }

func (x *recentEnds) chain(e *entry) uint32 { return uint32(e.Hash(x.salt) % recentChains) }

// add keeps the end of a session that is gone, and returns its place plus one.
func (x *recentEnds) add(e *entry, owners []whose.Owner, now uint64) uint32 {
	if x.chains == nil {
		x.chains, x.salt = make([]uint32, recentChains), drawSalt()
	}
	x.expire(now)
	p := x.place()
	h, chain := x.at(p), x.chain(e)
	c := &x.chains[chain]
	*h = recentEnd{entry: *e, owners: owners, gone: now, chain: chain, chained: *c, before: x.newest}
	*c = p
	if x.newest == 0 {
		x.oldest = p
	} else {
		x.at(x.newest).after = p
	}
	x.newest = p
	x.shorten(c)
	return p
}

// place returns a free place, or that of the oldest.
func (x *recentEnds) place() uint32 {
	if len(x.free) == 0 && len(x.all) >= maxRecentEnds {
		x.remove(x.oldest)
	}
	if n := len(x.free); n > 0 {
		p := x.free[n-1]
		x.free = x.free[:n-1]
		return p
	}
	x.all = append(x.all, recentEnd{})
	return uint32(len(x.all))
}

// shorten drops the last of a chain that is longer than its bound. Heavy reuse
// of the same two ends does not make others wait.
func (x *recentEnds) shorten(c *uint32) {
	n := 0
	for p := *c; p != 0; p = x.at(p).chained {
		if n++; n > maxChain {
			x.remove(p)
			return
		}
	}
}

// expire drops the ends that were kept for long enough.
func (x *recentEnds) expire(now uint64) {
	for x.oldest != 0 && x.at(x.oldest).gone+recentKeeps <= now {
		x.remove(x.oldest)
	}
}

// remove forgets the end at a place.
func (x *recentEnds) remove(p uint32) {
	h := x.at(p)
	if h.lifetime != nil {
		h.lifetime.awaits = 0
	}
	link := &x.chains[h.chain]
	for *link != p {
		link = &x.at(*link).chained
	}
	*link = h.chained
	if h.before == 0 {
		x.oldest = h.after
	} else {
		x.at(h.before).after = h.after
	}
	if h.after == 0 {
		x.newest = h.before
	} else {
		x.at(h.after).before = h.before
	}
	*h = recentEnd{}
	x.free = append(x.free, p)
}

// other returns the place plus one of a session's peer; 0: the peer is not a
// recent end.
func (x *recentEnds) other(e *entry) (best uint32) {
	if x.oldest == 0 || e.RemotePort == 0 {
		return 0
	}
	for p := x.chains[x.chain(e)]; p != 0; {
		h := x.at(p)
		if e.Faces(&h.End) {
			if best == 0 || e.Nearer(e.opened, h.NetNS, h.opened, x.at(best).NetNS, x.at(best).opened) {
				best = p
			}
		}
		p = h.chained
	}
	return best
}

// await notes that a lifetime waits for the peer of the end at p, until it is
// emitted.
func (x *recentEnds) await(p uint32, l *lifetime) {
	x.at(p).lifetime, l.awaits = l, p
}

// assign sets the peer's owners in the lifetime waiting at p, if there is one.
func (x *recentEnds) assign(p uint32, owners []whose.Owner) {
	if p == 0 {
		return
	}
	if l := x.at(p).lifetime; l != nil {
		l.peer = owners
	}
}

// release notes that a lifetime waits no longer.
func (x *recentEnds) release(l *lifetime) {
	if l.awaits != 0 {
		x.at(l.awaits).lifetime, l.awaits = nil, 0
	}
}
