package collect

import (
	"hash/maphash"
	"math/bits"
	"sync/atomic"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/lots"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// An endIndex finds the ends with the same hash, and so both ends of one
// connection: their hash does not depend on which is local. It has parts by the
// upper bits of the hash, one for each goroutine, so no two write to one place.
// Each part is open addressing over flat arrays. Its memory is used again.
type endIndex struct {
	// hashes of the sockets, 0 for those without another end.
	hashes []uint32
	slots  []uint32
	counts [maxHelpers]atomic.Int32
}

// findPeers pairs the two ends of each connection with both ends on this host.
func (d *derived) findPeers(sockets []source.Socket) {
	d.peer = zeroed(d.peer, len(sockets))
	parts, others := 1, 0
	if len(sockets) >= manySockets {
		others = helpers()
		parts = min(maxHelpers, 1<<bits.Len(uint(others)))
	}
	x := &d.ends
	x.hash(sockets, parts)
	var from [maxHelpers + 1]int
	for p := range parts {
		size := 16
		for size < 2*int(x.counts[p].Load()) {
			size *= 2
		}
		from[p+1] = from[p] + size
	}
	x.slots = zeroed(x.slots, from[parts])
	lots.Each(lots.Of(parts, 1), others, func() func(lots.Lot) {
		return func(l lots.Lot) {
			d.pairPart(sockets, uint32(l.No), shiftOf(parts), x.slots[from[l.No]:from[l.No+1]])
		}
	})
}

// shiftOf is the shift of a hash to the number of its part.
func shiftOf(parts int) int { return 32 - bits.TrailingZeros(uint(parts)) }

// hash fills in the hashes and counts them by part.
func (x *endIndex) hash(sockets []source.Socket, parts int) {
	x.hashes = sized(x.hashes, len(sockets))
	for p := range x.counts {
		x.counts[p].Store(0)
	}
	salt, shift := maphash.Bytes(maphash.MakeSeed(), nil), shiftOf(parts)
	share(len(sockets), func(from, to int) {
		var counts [maxHelpers]int32
		for i := from; i < to; i++ {
			s := &sockets[i]
			if s.RemotePort == 0 || s.IsListener() {
				x.hashes[i] = 0
				continue
			}
			h := max(1, uint32(s.Hash(salt)))
			x.hashes[i] = h
			counts[h>>shift]++
		}
		for p := range parts {
			x.counts[p].Add(counts[p])
		}
	})
}

// pairPart pairs the ends of one part.
func (d *derived) pairPart(sockets []source.Socket, part uint32, shift int, slots []uint32) {
	hashes, mask := d.ends.hashes, uint32(len(slots)-1)
	for i, h := range hashes {
		if h == 0 || h>>shift != part {
			continue
		}
		at := h & mask
		for ; slots[at] != 0; at = (at + 1) & mask {
			if other := slots[at] - 1; hashes[other] == h {
				d.pair(sockets, uint32(i), other)
			}
		}
		slots[at] = uint32(i + 1)
	}
}

// pair notes a and b as the ends of one connection, if they are. It prefers an
// end in the same namespace to one in another.
func (d *derived) pair(sockets []source.Socket, a, b uint32) {
	x, y := &sockets[a], &sockets[b]
	if !x.Faces(&y.End) {
		return
	}
	same := x.NetNS == y.NetNS
	if d.peer[a] == 0 || same {
		d.peer[a] = b + 1
	}
	if d.peer[b] == 0 || same {
		d.peer[b] = a + 1
	}
}

// pairByFlow pairs ends whose addresses do not show that they belong together, since
// they were translated on the way, by the flow id where it was asked for. An id that
// more than two sockets have says nothing: somebody made them so.
func (d *derived) pairByFlow(sockets []source.Socket) {
	if !d.plan.needs.Has(whose.NeedFlow) {
		return
	}
	const many = ^uint32(0)
	ends := make(map[uint64]uint32) // the place of the first plus one
	for i := range sockets {
		id := sockets[i].Flow
		if id == 0 || d.peer[i] != 0 {
			continue
		}
		switch first := ends[id]; first {
		case 0:
			ends[id] = uint32(i + 1)
		case many:
		default:
			if other := d.peer[first-1]; other != 0 {
				d.peer[first-1], d.peer[other-1], ends[id] = 0, 0, many
				continue
			}
			d.peer[first-1], d.peer[i] = uint32(i+1), first
		}
	}
}
