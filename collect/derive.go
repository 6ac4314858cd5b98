package collect

import (
	"hash/maphash"
	"sync"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/pair"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// derived follows from all sockets together. Listeners give the direction of a
// session and the owners of one in an accept queue. Pairs of sockets are the
// ends of one connection. It is the third stage, in flat arrays beside the
// sockets; its memory is used again.
type derived struct {
	*joined
	listeners map[pair.Port][]uint32
	// listener is, for each session that came in by a listener, the listener's
	// place plus one. Its siblings of a SO_REUSEPORT group share the address.
	listener []uint32
	// peer is the place of the other end plus one; empty unless asked for.
	peer   []uint32
	ends   []uint32
	reason []whose.Reason
	// proxied are the network namespaces with a TCP listener that is transparent,
	// so that it may take sessions to other addresses and ports.
	proxied map[uint32]bool
	// partial: the reading was not complete, so a listener may be missing.
	partial bool
}

// manySockets is the number of sockets from which on peers are searched in
// parallel to listeners and reasons: neither needs the other.
const manySockets = 16 << 10

// derive finds directions, peers and reasons, as far as needed.
func (d *derived) derive(j *joined) *derived {
	needs := j.plan.needs
	d.joined, d.partial = j, j.late()
	d.listener, d.peer, d.reason = d.listener[:0], d.peer[:0], d.reason[:0]
	var peers sync.WaitGroup
	defer peers.Wait()
	if needs.Has(whose.NeedPeer) {
		if len(j.sockets) >= manySockets {
			peers.Go(func() { d.findPeers(j.sockets) })
		} else {
			d.findPeers(j.sockets)
		}
	}
	if needs&(whose.NeedDirection|whose.NeedOwners) != 0 {
		d.findListeners(j.sockets)
	}
	if needs.Owners() {
		hidden := d.partial || j.coverage.Gaps.HasKind(whose.GapProcesses)
		d.findReasons(j, hidden, j.gone.Has)
	}
	return d
}

// firstProc returns the first process to name for the socket: its first holder,
// or the first holder of the listener whose queue it is in.
func (d *derived) firstProc(i uint32) (proc uint32, ok bool) {
	holders := d.holdersOf(int(i))
	if len(holders) == 0 && len(d.reason) > 0 && d.reason[i] == whose.ReasonAcceptQueue && d.listener[i] != 0 {
		holders = d.holdersOf(int(d.listener[i] - 1))
	}
	if len(holders) == 0 {
		return 0, false
	}
	return holders[0].proc, true
}

// findListeners fills in listeners and, for every other session, its listener.
func (d *derived) findListeners(sockets []source.Socket) {
	if d.listeners == nil {
		d.listeners = make(map[pair.Port][]uint32)
		d.proxied = make(map[uint32]bool)
	}
	clear(d.listeners)
	clear(d.proxied)
	for i := range sockets {
		if sockets[i].IsListener() {
			k := sockets[i].Port()
			d.listeners[k] = append(d.listeners[k], uint32(i))
			if sockets[i].State == whose.Listen && sockets[i].Flags&source.SocketTransparent != 0 {
				d.proxied[sockets[i].NetNS] = true
			}
		}
	}
	d.listener = zeroed(d.listener, len(sockets))
	if len(d.listeners) == 0 {
		return
	}
	var lastKey pair.Port
	var last []uint32
	for i := range sockets {
		s := &sockets[i]
		if s.IsListener() || s.RemotePort == 0 || s.Origin() == pair.Connected {
			continue
		}
		if k := s.Port(); k != lastKey {
			lastKey, last = k, d.listeners[k]
		}
		d.listener[i] = bestListener(sockets, last, s)
	}
}

// bestListener returns the place plus one of the listener that took the
// session.
func bestListener(sockets []source.Socket, candidates []uint32, s *source.Socket) uint32 {
	var best uint32
	highest := 0
	for _, at := range candidates {
		if rank := sockets[at].Rank(&s.End); rank > highest {
			best, highest = at+1, rank
		}
	}
	return best
}

// siblings returns the listeners with the address of the one at place at:
// itself alone, or its SO_REUSEPORT group.
func (d *derived) siblings(sockets []source.Socket, at uint32) []uint32 {
	all := d.listeners[sockets[at].Port()]
	if len(all) == 1 {
		return all
	}
	var group []uint32
	for _, other := range all {
		if sockets[other].Shares(&sockets[at].End) {
			group = append(group, other)
		}
	}
	return group
}

// findPeers pairs the two ends of each connection with both ends on this host.
// Both ends have one hash: it does not depend on which is local.
func (d *derived) findPeers(sockets []source.Socket) {
	d.peer = zeroed(d.peer, len(sockets))
	size := 16
	for size < 2*len(sockets) {
		size *= 2
	}
	d.ends = zeroed(d.ends, size)
	mask, salt := uint64(size-1), maphash.Bytes(maphash.MakeSeed(), nil)
	for i := range sockets {
		s := &sockets[i]
		if s.RemotePort == 0 || s.IsListener() {
			continue
		}
		h := s.Hash(salt) & mask
		for ; d.ends[h] != 0; h = (h + 1) & mask {
			d.pair(sockets, uint32(i), d.ends[h]-1)
		}
		d.ends[h] = uint32(i + 1)
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

// findReasons gives each socket without a holder its reason. With hidden, some
// processes could not be looked into; gone reports the sockets missing at a
// second look.
func (d *derived) findReasons(j *joined, hidden bool, gone func(inode uint64) bool) {
	d.reason = zeroed(d.reason, len(j.sockets))
	for i := range j.sockets {
		if j.first[i] == j.first[i+1] && len(j.holdersOf(i)) == 0 {
			d.reason[i] = d.reasonOf(&j.sockets[i], hidden, gone)
		}
	}
}

func (d *derived) reasonOf(s *source.Socket, hidden bool, gone func(inode uint64) bool) whose.Reason {
	switch {
	case s.Flags&source.SocketKernel != 0:
		return whose.ReasonKernel
	case s.Inode == 0:
		return reasonWithoutInode(s)
	case gone != nil && gone(s.Inode):
		return whose.ReasonRaced
	case s.Flags&source.SocketNoFile != 0:
		return whose.ReasonKernel
	case hidden:
		return whose.ReasonHidden
	case s.Flags&source.SocketFile != 0:
		return whose.ReasonInFlight
	}
	return whose.ReasonUnheld
}

// reasonWithoutInode returns the reason why a socket belongs to no file: its
// process closed it, or nobody accepted it yet. Its listener may be on another
// port, or have gone since.
func reasonWithoutInode(s *source.Socket) whose.Reason {
	switch {
	case s.State != whose.Established && s.State != whose.CloseWait:
		return whose.ReasonOrphan
	case s.OriginByState(false) == pair.Accepted:
		return whose.ReasonAcceptQueue
	}
	return whose.ReasonRaced // of UDP there is nothing without a file for long
}
