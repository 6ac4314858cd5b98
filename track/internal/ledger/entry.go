package ledger

import (
	"encoding/binary"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/pair"
)

// An entry is a session of the live table. It has no pointers, so that a
// million of them cost the garbage collector nothing. 136 bytes.
type entry struct {
	// Questions read the first fields, which fit into one line of the cache.
	// Device is a deviceID.
	pair.End
	flags     entryFlags
	direction whose.Direction
	reason    whose.Reason
	missed    uint8 // snapshots in a row that should have had it
	unknown   whose.Facts
	exposure  whose.Exposure
	owners    setID
	next      uint32 // the next of its chain of ends, a place plus one

	cookie, inode, cgroup uint64
	// flow is the flow id of a connection, 0 for none.
	flow uint64
	// opened is the time of its beginning by the boot clock, in nanoseconds.
	opened               uint64
	mark                 uint32
	recvQueue, sendQueue uint32
	pass                 uint32 // the last snapshot with it; 0: none yet
	scan                 uint32 // the last look at the kernel's flows with it
	uid                  uint32
	missedAt             uint64 // time of the first miss, by the boot clock
}

// entryFlags are the stages that a session has passed.
type entryFlags uint16

const (
	// inUse: the place holds a session.
	inUse entryFlags = 1 << iota
	// wanted: it meets the filter of the tracker.
	wanted
	// told: an event has reported it.
	told
	// since: it stood before the tracker began.
	since
	// accepted: the process that accepted it is known.
	accepted
	// counted: a UDP flow that the kernel counts.
	counted
	// isFlow: its identity is the cookie and the remote end: a UDP flow, or an
	// MPTCP connection.
	isFlow
	// handedOver: its owners were corrected; later accepts and sends are no news.
	handedOver
	// linked: it is in the chain of its ends.
	linked
	// ended: it ended in an accept queue, and its owners are final.
	ended
)

func (e *entry) is(f entryFlags) bool { return e.flags&f != 0 }

// A FlowKey is the identity of a UDP flow or an MPTCP connection: the socket's
// cookie and the remote end.
type FlowKey struct {
	Cookie uint64
	Remote [16]byte
	Port   uint16
}

// An endsKey is the identity of a session of unknown cookie. TCP has only one
// connection between two ends at a time. Listeners and UDP sockets may share an
// address; their inode distinguishes them.
type endsKey struct {
	local, remote         [16]byte
	inode                 uint64
	netns                 uint32
	localPort, remotePort uint16
	proto                 whose.Proto
}

func (e *entry) flowKey() FlowKey { return FlowKey{e.cookie, e.Remote, e.RemotePort} }

func (e *entry) endsKey() endsKey {
	k := endsKey{
		local: e.Local, remote: e.Remote, netns: e.NetNS,
		localPort: e.LocalPort, remotePort: e.RemotePort, proto: e.Proto,
	}
	if e.RemotePort == 0 || e.Proto.IsDatagram() {
		k.inode = e.inode
	}
	return k
}

func (e *entry) setFlag(f entryFlags, on bool) {
	if on {
		e.flags |= f
	} else {
		e.flags &^= f
	}
}

// endedID returns the cookie or, if several sessions share it, a hash of the
// cookie and the remote end.
func (e *entry) endedID() uint64 {
	if e.is(isFlow) {
		return e.flowKey().hash()
	}
	return e.cookie
}

// sharesCookie reports whether several sessions may share a cookie. MPTCP makes
// the socket of an incoming connection as a copy of its listener, cookie
// included (sk_clone_lock in net/core/sock.c).
func (e *entry) sharesCookie() bool { return e.Proto == whose.MPTCP && e.RemotePort != 0 }

func (e *entry) sameEnds(o *entry) bool {
	return e.LocalPort == o.LocalPort && e.RemotePort == o.RemotePort && e.Local == o.Local && e.Remote == o.Remote
}

// write gives a session the numeric facts of the entry.
func (e *entry) write(s *whose.Session) {
	s.Local, s.Remote = pair.AddrPort(e.Local, e.LocalPort), pair.AddrPort(e.Remote, e.RemotePort)
	s.Inode, s.Cookie, s.NetNS, s.UID, s.Mark = e.inode, e.cookie, e.NetNS, e.uid, e.mark
	s.Flow = e.flow
	s.RecvQueue, s.SendQueue = e.recvQueue, e.sendQueue
	s.Proto, s.Family, s.State, s.Direction, s.Reason = e.Proto, e.Family, e.State, e.direction, e.reason
	s.V6Only = e.V6Only && e.IsListener()
	if s.Exposure = 0; e.IsListener() {
		s.Exposure = e.exposure
	}
	s.Unknown = e.unknown
}

// hash makes one number of a flow's identity.
func (k FlowKey) hash() uint64 {
	h := k.Cookie
	for i := 0; i < 16; i += 8 {
		h = (h ^ binary.LittleEndian.Uint64(k.Remote[i:])) * 0x9e3779b97f4a7c15
		h ^= h >> 29
	}
	return (h ^ uint64(k.Port)) * 0xd6e8feb86659fd93
}

// learn takes over the facts of a snapshot that change, or were unknown.
func (e *entry) learn(news *entry) {
	e.recvQueue = news.recvQueue
	if e.flow == 0 {
		e.flow = news.flow
	}
	if !news.unknown.Has(whose.FactSendQueue) {
		e.sendQueue = news.sendQueue
	}
	// A record of a socket that is being bound has what the socket had before.
	if !news.unknown.Has(whose.FactUID) {
		e.uid = news.uid
	}
	if !news.unknown.Has(whose.FactV6Only) {
		e.V6Only = news.V6Only
	}
	if news.mark != 0 { // 0 is no mark, or an unknown one
		e.mark = news.mark
	}
	e.unknown &= news.unknown
	e.exposure = news.exposure
}
