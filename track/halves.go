package track

import (
	"hash/maphash"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/pair"
)

// This file keeps ends that are in the table no longer, or never were, until
// their other end is told: of a short connection both ends are told whole, one
// after the other.

const (
	// halfKeeps is how long an end that is gone is found, in nanoseconds: what
	// the kernel tells of the other comes within two looks at the ring buffer.
	halfKeeps = uint64(250 * time.Millisecond)
	// maxHalves bounds those that are kept, 2 MiB; the oldest goes.
	maxHalves = 1 << 14
	// halfChains is how many chains they are in.
	halfChains = 1 << 13
)

// A half is one end of a session that is gone.
type half struct {
	entry
	owners []whose.Owner
	// life is what is still to be told of it, and lacks the other end; nil: nothing.
	life *life
	gone uint64 // by the boot clock
	// chain is which it is in, chained the next of it, before and after are its
	// neighbours by age; places plus one.
	chain                  uint32
	chained, before, after uint32
}

// halves are the ends that are gone. The zero value is empty and ready.
type halves struct {
	all            []half
	free           []uint32 // places plus one
	chains         []uint32
	oldest, newest uint32
	salt           uint64
}

func drawSalt() uint64 { return maphash.Bytes(maphash.MakeSeed(), nil) }

func (x *halves) at(p uint32) *half { return &x.all[p-1] }

func (x *halves) len() int { return len(x.all) - len(x.free) }

func (x *halves) chain(e *entry) uint32 { return uint32(e.Hash(x.salt) % halfChains) }

// add keeps the end of a session that is gone, and returns its place plus one.
func (x *halves) add(e *entry, owners []whose.Owner, now uint64) uint32 {
	if x.chains == nil {
		x.chains, x.salt = make([]uint32, halfChains), drawSalt()
	}
	x.expire(now)
	p := x.place()
	h, chain := x.at(p), x.chain(e)
	c := &x.chains[chain]
	*h = half{entry: *e, owners: owners, gone: now, chain: chain, chained: *c, before: x.newest}
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

// place returns a free place, that of the oldest if there is no other.
func (x *halves) place() uint32 {
	if len(x.free) == 0 && len(x.all) >= maxHalves {
		x.remove(x.oldest)
	}
	if n := len(x.free); n > 0 {
		p := x.free[n-1]
		x.free = x.free[:n-1]
		return p
	}
	x.all = append(x.all, half{})
	return uint32(len(x.all))
}

// shorten drops the last of a chain that is longer than its bound: whoever
// uses the same two ends again and again does not make others wait.
func (x *halves) shorten(c *uint32) {
	n := 0
	for p := *c; p != 0; p = x.at(p).chained {
		if n++; n > maxChain {
			x.remove(p)
			return
		}
	}
}

// expire drops those that were kept for long enough.
func (x *halves) expire(now uint64) {
	for x.oldest != 0 && x.at(x.oldest).gone+halfKeeps <= now {
		x.remove(x.oldest)
	}
}

// remove forgets the half at a place.
func (x *halves) remove(p uint32) {
	h := x.at(p)
	if h.life != nil {
		h.life.half = 0
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
	*h = half{}
	x.free = append(x.free, p)
}

// other returns the place plus one of the other end of a session; 0: it is not
// among those that are gone.
func (x *halves) other(e *entry) (best uint32) {
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

// waits notes that a life waits for the other end of the half at p, until it is
// given out.
func (x *halves) waits(p uint32, l *life) {
	x.at(p).life, l.half = l, p
}

// tell lets the life that waits for the other end of the half at p, if there is
// one, know its owners.
func (x *halves) tell(p uint32, owners []whose.Owner) {
	if p == 0 {
		return
	}
	if l := x.at(p).life; l != nil {
		l.peer = owners
	}
}

// leave notes that a life waits no longer.
func (x *halves) leave(l *life) {
	if l.half != 0 {
		x.at(l.half).life, l.half = nil, 0
	}
}

// meetHalf brings the end of a session that was told whole together with its
// other end: both know each other from then on, and if both are gone neither is
// needed any more. l is what is told of it, nil for nothing.
func (g *engine) meetHalf(e *entry, l *life) {
	if !g.showsPeers() || e.RemotePort == 0 {
		return
	}
	f := g.other(e)
	peer, opened, found := g.peer(f)
	if l != nil {
		l.peer = peer
	}
	owners := g.shownOwners(e)
	if f.half != 0 && pair.Apart(opened, e.opened) <= sameOpening {
		g.halves.tell(f.half, owners)
		g.halves.remove(f.half)
		return
	}
	p := g.halves.add(e, owners, g.now)
	if l != nil && (!found || pair.Apart(opened, e.opened) > sameOpening) {
		g.halves.waits(p, l)
	}
}
