package collect

import (
	"net/netip"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/pair"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// A maker makes the sessions of an answer, one at a time, from the flat arrays
// of the stages. Owners and descriptors come out of blocks, given away with the
// sessions, so no session needs an allocation of its own.
type maker struct {
	// The stages are embedded: each is needed for every session.
	*joined
	*derived
	*described
	owners []whose.Owner
	fds    []int32
	seen   []uint32
	// space and user are the names looked up last: neighbours often share them.
	space lastName
	user  lastName
	// read keeps the compiler from leaving out the reads of [maker.ahead].
	read uint64
}

// A lastName is the last name looked up by a number.
type lastName struct {
	of    uint32
	name  string
	known bool
}

func (l *lastName) in(names map[uint32]string, of uint32) string {
	if !l.known || l.of != of {
		*l = lastName{of, names[of], true}
	}
	return l.name
}

func newMaker(d *described) maker { return maker{joined: d.joined, derived: d.derived, described: d} }

const ownerBlock = 4096

// borrow makes a session as [maker.session] does, but the next call overwrites
// the memory of its owners.
func (m *maker) borrow(at uint32, s *whose.Session) {
	m.owners, m.fds = m.owners[:0], m.fds[:0]
	m.session(at, s)
}

// together is the number of sessions read ahead.
const together = 8

// ahead reads the parts of the next sessions, so that they are in the cache then. In their
// order they lie anywhere in memory that no cache has: the reads of one wait for each
// other, those of several do not.
func (m *maker) ahead(places []uint32) {
	var sum uint64
	for _, at := range places {
		k := &m.sockets[at]
		sum += k.Inode + uint64(k.LocalPort) + uint64(m.first[at])
		if len(m.reason) > 0 {
			sum += uint64(m.reason[at]) + uint64(m.listener[at])
		}
		if len(m.peer) > 0 {
			sum += uint64(m.peer[at])
		}
	}
	for _, at := range places {
		if first := m.first[at]; int(first) < len(m.holders) {
			sum += uint64(m.holders[first].fd)
		}
		if len(m.peer) == 0 || m.peer[at] == 0 {
			continue
		}
		other := m.peer[at] - 1
		sum += uint64(m.sockets[other].Flags) + uint64(m.first[other])
		if len(m.reason) > 0 {
			sum += uint64(m.reason[other])
		}
	}
	for _, at := range places {
		if len(m.peer) == 0 || m.peer[at] == 0 {
			continue
		}
		if first := m.first[m.peer[at]-1]; int(first) < len(m.holders) {
			sum += uint64(m.holders[first].fd)
		}
	}
	m.read += sum
}

// session makes the session of the socket at place at.
func (m *maker) session(at uint32, s *whose.Session) {
	k := &m.sockets[at]
	*s = whose.Session{
		Local:     netip.AddrPortFrom(netip.AddrFrom16(k.Local).Unmap(), k.LocalPort),
		Remote:    netip.AddrPortFrom(netip.AddrFrom16(k.Remote).Unmap(), k.RemotePort),
		Inode:     k.Inode,
		Cookie:    k.Cookie,
		Flow:      k.Flow,
		NetNS:     k.NetNS,
		UID:       k.UID,
		Mark:      k.Mark,
		RecvQueue: k.RecvQueue,
		SendQueue: k.SendQueue,
		Proto:     k.Proto,
		Family:    k.Family,
		State:     k.State,
		V6Only:    k.V6Only && k.IsListener(),
		Subflow:   k.Proto == whose.MPTCP && k.Flags&source.SocketSubflow != 0,
		Direction: m.direction(k, at),
		NetNSName: m.space.in(m.netns, k.NetNS),
		Unknown:   m.unknown(k),
	}
	if !s.Unknown.Has(whose.FactUID) {
		s.User = m.user.in(m.users, k.UID)
	}
	if k.IsListener() {
		s.Exposure = k.Exposure()
	}
	if k.Device != 0 {
		m.nameDevice(k, s)
	}
	if k.TCPInfo != 0 {
		s.TCP = &m.tcp[k.TCPInfo-1]
	}
	if len(m.reason) > 0 { // owners were asked for
		m.addOwners(at, s)
	}
}

// unknown returns the facts of a socket that the source does not give, or the
// kernel does not keep.
func (m *maker) unknown(k *source.Socket) whose.Facts {
	var u whose.Facts
	if k.Inode == 0 && !m.keepsUser(k) {
		u |= whose.FactUID
	}
	if k.Flags&source.SocketNoLimit != 0 {
		u |= whose.FactSendQueue
	}
	if k.Flags&source.SocketNoV6Only != 0 && k.IsListener() {
		u |= whose.FactV6Only
	}
	return u
}

// keepsUser reports whether the kernel knows who made a socket without an open
// file. Of TIME_WAIT and SYN_RECV it keeps less than a socket, and FIN_WAIT2 is
// often no more than a TIME_WAIT.
func (m *maker) keepsUser(k *source.Socket) bool {
	switch k.State {
	case whose.TimeWait, whose.SynRecv, whose.FinWait2:
		return false
	}
	return m.keepsUsers
}

// addOwners fills in owners, peer and reason.
func (m *maker) addOwners(at uint32, s *whose.Session) {
	s.Reason = m.reason[at]
	switch s.Reason {
	case whose.ReasonHidden:
		if group, ok := m.groups.Lookup(m.sockets[at].Cgroup); ok {
			s.Unit, s.Container = group.Unit, group.Container
		}
	case whose.ReasonNone:
		s.Owners = m.ownersOf(m.holdersOf(int(at)))
	case whose.ReasonAcceptQueue:
		s.Owners = m.ownersOfListener(m.listener[at])
	}
	switch {
	case len(m.peer) == 0:
	case m.peer[at] != 0:
		s.Peer = m.peerOf(m.peer[at] - 1)
	case s.Proto.IsDatagram():
		s.Peer = m.ownersOfListener(m.serverOf(&m.sockets[at]))
	}
}

// serverOf returns the place plus one of the socket that takes the datagrams of a
// connected one, 0 for none known.
func (m *maker) serverOf(k *source.Socket) uint32 {
	end, here := k.Served()
	if !here {
		return 0
	}
	served := source.Socket{End: end}
	return m.listeners.best(m.sockets, m.listeners.first(m.sockets, end.Port()), &served)
}

// peerOf returns the owners of the other end, which may itself still be in an
// accept queue.
func (m *maker) peerOf(at uint32) []whose.Owner {
	if m.reason[at] == whose.ReasonAcceptQueue {
		return m.ownersOfListener(m.listener[at])
	}
	return m.ownersOf(m.holdersOf(int(at)))
}

// nameDevice gives the device of a bound socket, and the zone of a link-local
// address, which the kernel keeps in the same place.
func (m *maker) nameDevice(k *source.Socket, s *whose.Session) {
	name := m.devices[source.Device{NetNS: k.NetNS, Index: k.Device}]
	s.BoundDev = name
	if s.Local.Addr().IsLinkLocalUnicast() || s.Remote.Addr().IsLinkLocalUnicast() {
		if k.Family == whose.IPv6 {
			s.Scope = name
		}
	}
}

// ownersOf makes the owners of one socket: holders of the same process stand
// together and become one owner with all its descriptors.
func (m *maker) ownersOf(holders []holder) []whose.Owner {
	if len(holders) == 0 {
		return nil
	}
	m.room(len(holders))
	begin := len(m.owners)
	for i := 0; i < len(holders); {
		first := len(m.fds)
		proc := holders[i].proc
		for ; i < len(holders) && holders[i].proc == proc; i++ {
			m.fds = append(m.fds, holders[i].fd)
		}
		m.owners = append(m.owners, whose.Owner{
			Process: &m.procs[proc], FDs: m.fds[first:len(m.fds):len(m.fds)],
		})
	}
	return m.owners[begin:len(m.owners):len(m.owners)]
}

// ownersOfListener makes the owners of a listener, given by its place plus one,
// and of its SO_REUSEPORT group, each once, without descriptors: they do not hold
// the connection. 0 is a listener that nobody knows.
func (m *maker) ownersOfListener(listener uint32) []whose.Owner {
	if listener == 0 {
		return nil
	}
	m.seen = m.seen[:0]
	total := 0
	x, own := &m.listeners, &m.sockets[listener-1]
	for n := x.first(m.sockets, own.Port()); n != 0; n = x.next[n-1] {
		at := x.at[n-1]
		if !m.sockets[at].Shares(&own.End) {
			continue
		}
		holders := m.holdersOf(int(at))
		total += len(holders)
		for _, h := range holders {
			m.seen = insertProc(m.procs, m.seen, h.proc)
		}
	}
	m.room(total)
	begin := len(m.owners)
	for _, proc := range m.seen {
		m.owners = append(m.owners, whose.Owner{Process: &m.procs[proc]})
	}
	return m.owners[begin:len(m.owners):len(m.owners)]
}

// insertProc adds a process to a list ordered by PID, once.
func insertProc(procs []whose.Process, list []uint32, proc uint32) []uint32 {
	i := len(list)
	for i > 0 && procs[list[i-1]].PID > procs[proc].PID {
		i--
	}
	if i > 0 && list[i-1] == proc {
		return list
	}
	list = append(list, 0)
	copy(list[i+1:], list[i:])
	list[i] = proc
	return list
}

// room makes room for n owners and n descriptors. Appending them then does not
// move the earlier ones, which sessions refer to.
func (m *maker) room(n int) {
	if cap(m.owners)-len(m.owners) < n {
		m.owners = make([]whose.Owner, 0, m.block(n))
	}
	if cap(m.fds)-len(m.fds) < n {
		m.fds = make([]int32, 0, m.block(n))
	}
}

// block returns the size of the next block: the number left to hand out, but
// neither less than is needed now nor more than a block.
func (m *maker) block(n int) int { return max(n, min(ownerBlock, len(m.holders)+16)) }

// direction reports the side that began the session at place at.
func (d *derived) direction(k *source.Socket, at uint32) whose.Direction {
	if len(d.listener) == 0 {
		return 0 // nobody asked
	}
	return k.Direction(k.Origin(), d.taking(k, at))
}

// taking reports whether a listener takes the session at place at.
func (d *derived) taking(k *source.Socket, at uint32) pair.Taking {
	switch {
	case d.listener[at] != 0:
		return pair.Taken
	case d.partial:
		return pair.MayBeTaken // by one of the unread sockets
	case k.Flags&source.SocketTransparent != 0 && d.proxied[k.NetNS]:
		return pair.MayBeTaken // TPROXY leads to a listener on any port
	}
	return pair.NotTaken
}
