package tally

import (
	"net/netip"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/pair"
)

// maxConnections bounds the groups of connections: one for each local address of
// a listener and each program with some of its connections.
const maxConnections = 1 << 16

// A connectionKey is shared by connections accepted by one listener. Sessions
// come in any order, so the listener is found at the end.
type connectionKey struct {
	netns  uint32
	port   uint16
	proto  whose.Proto
	family whose.Family
	addr   netip.Addr
	// program is the place of their program, -1 for none.
	program int32
}

// A connection counts such connections.
type connection struct{ established, closeWait, synRecv, timeWait int }

// addConnection counts an incoming session.
func (h *Host) addConnection(s *whose.Session, program int32, remote uint32) {
	key := connectionKey{
		netns: s.NetNS, port: s.Local.Port(), proto: plainProto(s.Proto), family: s.Family,
		addr: localAddr(s), program: program,
	}
	at := h.lastPlace
	if at < 0 || key != h.lastConnection {
		if at = h.connections.place(key); at < 0 {
			return
		}
		h.lastConnection, h.lastPlace = key, at
	}
	h.visits.add(at, remote)
	c := &h.connections.all[at].Sum
	switch s.State {
	case whose.Established:
		c.established++
	case whose.CloseWait:
		c.closeWait++
	case whose.SynRecv, whose.NewSynRecv:
		c.synRecv++
	case whose.TimeWait:
		c.timeWait++
	}
}

// A door is the common key of listeners for the same connection.
type door struct {
	netns uint32
	port  uint16
	proto whose.Proto
}

// assignConnections assigns the incoming sessions to their listeners.
func (h *Host) assignConnections() {
	doors := map[door][]int32{}
	for i := range h.listeners.all {
		k := &h.listeners.all[i].Key
		if k.Many() {
			continue
		}
		d := door{k.NetNS, k.Port, k.Proto}
		doors[d] = append(doors[d], int32(i))
	}
	listenerOf := make([]int32, len(h.connections.all))
	for i := range h.connections.all {
		c := &h.connections.all[i]
		at := h.accepted(&c.Key, doors[door{c.Key.netns, c.Key.port, c.Key.proto}])
		listenerOf[i] = at
		if at >= 0 {
			h.assign(&h.listeners.all[at].Sum, c)
		}
	}
	var remotes pairs
	h.visits.each(func(connection int32, remote uint32) {
		if at := listenerOf[connection]; at >= 0 && remotes.add(at, remote) {
			h.listeners.all[at].Sum.RemoteHosts++
		}
	})
}

// assign counts connections for their listener. It counts connections without a
// holder for the listener's program.
func (h *Host) assign(l *Listener, c *Group[connectionKey, connection]) {
	l.Established += c.Sum.established
	l.CloseWait += c.Sum.closeWait
	l.SynRecv += c.Sum.synRecv
	l.TimeWait += c.Sum.timeWait
	if c.Key.program < 0 && l.program >= 0 {
		h.programs.all[l.program].Sum.TimeWait += c.Sum.timeWait
	}
}

// accepted returns the place of the listener of connections: of several of the
// highest rank, the one whose program holds them. -1: none is known.
func (h *Host) accepted(c *connectionKey, candidates []int32) int32 {
	end := pair.End{Local: pair.Mapped(c.addr, c.family), Family: c.family}
	best, bestRank := int32(-1), 0
	for _, at := range candidates {
		l := &h.listeners.all[at]
		if !l.Key.Addr.IsUnspecified() && l.Key.Addr != c.addr {
			continue // the same address of another zone
		}
		rank := 2 * l.Sum.end.Rank(&end)
		if rank == 0 {
			continue
		}
		if l.Sum.program >= 0 && l.Sum.program == c.program {
			rank++
		}
		if rank > bestRank || rank == bestRank && l.Key.less(&h.listeners.all[best].Key) {
			best, bestRank = at, rank
		}
	}
	return best
}
