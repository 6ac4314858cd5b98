package collect

import (
	"math/bits"
	"math/rand/v2"

	"github.com/seed-44df2ae6/whose/internal/pair"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// A listenerIndex finds the listeners on a port. It is open addressing over the
// ports, each with a chain of its listeners, in flat arrays without pointers: a
// session without a listener, as most clients are, costs a line of the cache. Its
// memory is used again.
type listenerIndex struct {
	// slots hold the first listener of a port, its place in at plus one.
	slots []uint32
	// at are the places of the listeners among the sockets, in rising order. next is
	// the following listener on the same port, its place in at plus one; 0 is none.
	at, next []uint32
	// factor is random and odd: who chooses ports cannot choose long chains.
	factor uint64
	shift  int
}

// index notes all listeners.
func (x *listenerIndex) index(sockets []source.Socket) {
	x.at = x.at[:0]
	for i := range sockets {
		if sockets[i].IsListener() {
			x.at = append(x.at, uint32(i))
		}
	}
	size := 16
	for size < 2*len(x.at) {
		size *= 2
	}
	x.slots, x.next = zeroed(x.slots, size), zeroed(x.next, len(x.at))
	x.factor, x.shift = rand.Uint64()|1, 64-bits.TrailingZeros(uint(size))
	for i := len(x.at) - 1; i >= 0; i-- { // each comes before the later ones
		slot := x.slot(sockets, sockets[x.at[i]].Port())
		x.next[i], *slot = *slot, uint32(i+1)
	}
}

// slot returns the slot of a port, or the empty one for it.
func (x *listenerIndex) slot(sockets []source.Socket, port pair.Port) *uint32 {
	for h := uint64(port) * x.factor >> x.shift; ; h = (h + 1) & uint64(len(x.slots)-1) {
		n := x.slots[h]
		if n == 0 || sockets[x.at[n-1]].Port() == port {
			return &x.slots[h]
		}
	}
}

// first returns the first listener on a port, its place in at plus one; 0 is
// none.
func (x *listenerIndex) first(sockets []source.Socket, port pair.Port) uint32 {
	return *x.slot(sockets, port)
}

// best returns the place plus one of the listener that took the session, among
// those from first on.
func (x *listenerIndex) best(sockets []source.Socket, first uint32, s *source.Socket) uint32 {
	var best uint32
	highest := 0
	for n := first; n != 0; n = x.next[n-1] {
		at := x.at[n-1]
		if rank := sockets[at].Rank(&s.End); rank > highest {
			best, highest = at+1, rank
		}
	}
	return best
}
