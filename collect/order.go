package collect

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/pair"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// A key is a session's place in the answer with its two sort words.
type key struct {
	hi, lo uint64
	at     uint32
}

// ordered are the chosen sockets in the order of the answer: the last stage.
// The default order is a radix sort of two words a session, with a comparison
// only if both are equal.
type ordered struct {
	*chosen
	keys, spare []key
}

// order puts the chosen sockets in the requested order.
func (o *ordered) order(c *chosen) *ordered {
	o.chosen = c
	rank := rankProcs(o.procs)
	if c.plan.opts.ByProcess && len(c.plan.order) == 0 {
		o.byProcess(rank)
		return o
	}
	o.byDefault(rank)
	if len(c.plan.order) > 0 {
		c.awaitPeers()
		m := newMaker(c.described)
		o.byFields(c.plan.order, m.borrow)
	}
	o.place()
	return o
}

// place puts the places in the order of the keys.
func (o *ordered) place() {
	for i := range o.keys {
		o.places[i] = o.keys[i].at
	}
}

// byProcess orders no further than [Options].ByProcess wants: listeners as by default,
// the others by their processes alone.
func (o *ordered) byProcess(rank []uint32) {
	all := o.places
	n := o.listenersFirst()
	o.places = all[:n]
	o.byDefault(rank)
	o.place()
	o.places = all[n:]
	o.keys = sized(o.keys, len(o.places))
	for i, place := range o.places {
		o.keys[i] = key{hi: o.rankOf(place, rank), at: place}
	}
	o.radix()
	o.place()
	o.places = all
}

// listenersFirst moves the places of listeners before those of others and returns their
// number.
func (o *ordered) listenersFirst() int {
	var listeners []uint32
	at := len(o.places)
	for i := at - 1; i >= 0; i-- {
		if place := o.places[i]; o.sockets[place].IsListener() {
			listeners = append(listeners, place)
		} else {
			at--
			o.places[at] = place
		}
	}
	return copy(o.places, listeners)
}

// byDefault puts listeners first, then orders by process name and PID (those
// without a process last), protocol, local port and remote end.
// [compareSockets] orders the rest.
func (o *ordered) byDefault(rank []uint32) {
	o.keys = sized(o.keys, len(o.places))
	for i, place := range o.places {
		s := &o.sockets[place]
		o.keys[i] = key{defaultKey(s, o.rankOf(place, rank)), remoteKey(s), place}
	}
	o.radix()
	o.breakTies(o.sockets)
}

// rankOf returns the rank of the first process of a socket, above all others for none.
func (o *ordered) rankOf(place uint32, rank []uint32) uint64 {
	if at, ok := o.firstProc(place); ok {
		return uint64(rank[at])
	}
	return uint64(len(rank))
}

// defaultKey packs, from the highest bit: not a listener (1), rank of the
// process (28), protocol (3), local port (16).
func defaultKey(s *source.Socket, proc uint64) uint64 {
	word := proc<<19 | uint64(s.Proto&7)<<16 | uint64(s.LocalPort)
	if !s.IsListener() {
		word |= 1 << 47
	}
	return word
}

// remoteKey packs the remote end into a word that sorts as the address does:
// IPv4 first, whole; of IPv6 as much as fits.
func remoteKey(s *source.Socket) uint64 {
	if pair.IsMapped(&s.Remote) {
		return uint64(binary.BigEndian.Uint32(s.Remote[12:]))<<16 | uint64(s.RemotePort)
	}
	return 1<<63 | binary.BigEndian.Uint64(s.Remote[:8])>>1
}

// rankProcs returns the place of each process in the order of name and PID.
func rankProcs(procs []whose.Process) []uint32 {
	order := make([]uint32, len(procs))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(a, b uint32) int {
		return cmp.Or(cmp.Compare(procs[a].Comm, procs[b].Comm), cmp.Compare(procs[a].PID, procs[b].PID))
	})
	rank := make([]uint32, len(procs))
	for r, at := range order {
		rank[at] = uint32(r)
	}
	return rank
}

// radix sorts the keys by hi and lo, a byte at a time from the lowest. It skips
// bytes equal in all keys.
func (o *ordered) radix() {
	n := len(o.keys)
	if n < 64 {
		slices.SortFunc(o.keys, func(a, b key) int {
			return cmp.Or(cmp.Compare(a.hi, b.hi), cmp.Compare(a.lo, b.lo))
		})
		return
	}
	var counts [16][256]uint32
	for i := range o.keys {
		hi, lo := o.keys[i].hi, o.keys[i].lo
		for b := range 8 {
			counts[b][byte(lo>>(8*b))]++
			counts[8+b][byte(hi>>(8*b))]++
		}
	}
	o.spare = sized(o.spare, n)
	for b := range counts {
		if int(slices.Max(counts[b][:])) == n {
			continue
		}
		o.scatter(&counts[b], b)
		o.keys, o.spare = o.spare, o.keys
	}
}

// scatter moves the keys to spare in the order of byte b.
func (o *ordered) scatter(counts *[256]uint32, b int) {
	var at uint32
	for v := range counts {
		at, counts[v] = at+counts[v], at
	}
	shift := 8 * (b & 7)
	for i := range o.keys {
		word := o.keys[i].lo
		if b >= 8 {
			word = o.keys[i].hi
		}
		v := byte(word >> shift)
		o.spare[counts[v]] = o.keys[i]
		counts[v]++
	}
}

// breakTies orders the sockets with two equal words.
func (o *ordered) breakTies(sockets []source.Socket) {
	for from := 0; from < len(o.keys); {
		to := from + 1
		for to < len(o.keys) && o.keys[to].hi == o.keys[from].hi && o.keys[to].lo == o.keys[from].lo {
			to++
		}
		if to-from > 1 {
			slices.SortFunc(o.keys[from:to], func(a, b key) int {
				return compareSockets(&sockets[a.at], &sockets[b.at])
			})
		}
		from = to
	}
}

// compareSockets is an order of all sockets, the same for every source. It
// ignores facts known to some sources only (the cookie).
func compareSockets(a, b *source.Socket) int {
	return cmp.Or(
		bytes.Compare(a.Remote[:], b.Remote[:]),
		cmp.Compare(a.RemotePort, b.RemotePort),
		bytes.Compare(a.Local[:], b.Local[:]),
		cmp.Compare(a.LocalPort, b.LocalPort),
		cmp.Compare(a.State, b.State),
		cmp.Compare(a.Family, b.Family),
		cmp.Compare(a.NetNS, b.NetNS),
		cmp.Compare(a.Inode, b.Inode),
	)
}

// byFields orders by fields of the caller's choice. Sessions equal in these
// keep the default order, made before.
func (o *ordered) byFields(fields []whose.Order, session func(at uint32, s *whose.Session)) {
	n := len(fields)
	values := make([]whose.Value, len(o.keys)*n)
	var s whose.Session
	for i := range o.keys {
		session(o.keys[i].at, &s)
		for k, f := range fields {
			values[i*n+k] = f.Value(&s)
		}
		o.keys[i].hi = uint64(i)
	}
	slices.SortStableFunc(o.keys, func(a, b key) int {
		for k, f := range fields {
			if c := f.Compare(&values[int(a.hi)*n+k], &values[int(b.hi)*n+k]); c != 0 {
				return c
			}
		}
		return 0
	})
}
