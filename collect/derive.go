package collect

import (
	"runtime"
	"sync"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/lots"
	"github.com/seed-44df2ae6/whose/internal/pair"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// derived follows from all sockets together. Listeners give the direction of a
// session and the owners of one in an accept queue. Pairs of sockets are the
// ends of one connection. It is the third stage, in flat arrays beside the
// sockets; its memory is used again.
type derived struct {
	*joined
	listeners listenerIndex
	// listener is, for each session that came in by a listener, the listener's
	// place plus one. Its siblings of a SO_REUSEPORT group share the address.
	listener []uint32
	// peer is the place of the other end plus one; empty unless asked for.
	peer   []uint32
	ends   endIndex
	peers  sync.WaitGroup
	reason []whose.Reason
	// proxied are the network namespaces with a TCP listener that is transparent,
	// so that it may take sessions to other addresses and ports.
	proxied map[uint32]bool
	// partial: the reading was not complete, so a listener may be missing.
	partial bool
}

// manySockets is the number of sockets from which on several goroutines share
// them, and other ends are found beside the later stages.
const manySockets = 16 << 10

// share calls do with parts of n sockets: all of them, or many parts on as many
// goroutines as there are processors.
func share(n int, do func(from, to int)) {
	if n < manySockets {
		do(0, n)
		return
	}
	lots.Each(lots.Of(n, manySockets/4), helpers(), func() func(lots.Lot) {
		return func(l lots.Lot) { do(l.From, l.To) }
	})
}

// helpers is the number of goroutines to share work with.
func helpers() int { return min(runtime.GOMAXPROCS(0), maxHelpers) - 1 }

// maxHelpers bounds the goroutines: reading memory is what they do most, and more
// do not read it faster.
const maxHelpers = 8

// derive finds directions and reasons, as far as needed. It begins to find
// peers: later stages call [derived.awaitPeers] before they read them.
func (d *derived) derive(j *joined) *derived {
	needs := j.plan.needs
	d.joined, d.partial = j, j.late()
	d.listener, d.peer, d.reason = d.listener[:0], d.peer[:0], d.reason[:0]
	if needs.Has(whose.NeedPeer) {
		if len(j.sockets) >= manySockets {
			d.peers.Go(func() { d.findPeers(j.sockets); d.pairByFlow(j.sockets) })
		} else {
			d.findPeers(j.sockets)
			d.pairByFlow(j.sockets)
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

// awaitPeers waits until all other ends are found.
func (d *derived) awaitPeers() { d.peers.Wait() }

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
	d.listeners.index(sockets)
	d.noteProxies(sockets)
	d.listener = zeroed(d.listener, len(sockets))
	if len(d.listeners.at) == 0 {
		return
	}
	share(len(sockets), func(from, to int) {
		var lastPort pair.Port
		var first uint32
		for i := from; i < to; i++ {
			s := &sockets[i]
			if s.IsListener() || s.RemotePort == 0 || s.Origin() == pair.Connected {
				continue
			}
			if port := s.Port(); port != lastPort {
				lastPort, first = port, d.listeners.first(sockets, port)
			}
			if first != 0 {
				d.listener[i] = d.listeners.best(sockets, first, s)
			}
		}
	})
}

// noteProxies learns the namespaces with a transparent TCP listener.
func (d *derived) noteProxies(sockets []source.Socket) {
	if d.proxied == nil {
		d.proxied = make(map[uint32]bool)
	}
	clear(d.proxied)
	for _, at := range d.listeners.at {
		if s := &sockets[at]; s.State == whose.Listen && s.Flags&source.SocketTransparent != 0 {
			d.proxied[s.NetNS] = true
		}
	}
}

// findReasons gives each socket without a holder its reason. With hidden, some
// processes could not be looked into; gone reports the sockets missing at a
// second look.
func (d *derived) findReasons(j *joined, hidden bool, gone func(inode uint64) bool) {
	d.reason = zeroed(d.reason, len(j.sockets))
	share(len(j.sockets), func(from, to int) {
		for i := from; i < to; i++ {
			if j.first[i] == j.first[i+1] && len(j.holdersOf(i)) == 0 {
				d.reason[i] = d.reasonOf(&j.sockets[i], hidden, gone)
			}
		}
	})
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
// process closed it, or nobody has accepted it. The listener of such a connection
// may be on another port, or gone.
func reasonWithoutInode(s *source.Socket) whose.Reason {
	switch {
	case s.State != whose.Established && s.State != whose.CloseWait:
		return whose.ReasonOrphan
	case s.OriginByState(false) == pair.Accepted:
		return whose.ReasonAcceptQueue
	}
	return whose.ReasonRaced // of UDP there is nothing without a file for long
}
