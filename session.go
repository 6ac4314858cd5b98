package whose

import (
	"net/netip"
	"time"
)

// A Session is one TCP or UDP socket of the host at the moment of reading, with
// its owners.
//
// A Session is a plain value of 280 bytes. Its slices are never written again and
// may be kept after the answer is closed. The zero value is no session of any
// host. [ParseSession] reads one from JSON, [Field.Value] one fact of it.
type Session struct {
	// Local is the address and port on this side. An IPv4-mapped IPv6 address
	// appears as IPv4; Family is still the socket's own. A link-local address has
	// no zone here; the zone is Scope.
	Local netip.AddrPort
	// Remote is the address and port of the other side. A socket without a
	// connection has the unspecified address and port 0.
	Remote netip.AddrPort
	// Inode is the number of the socket in sockfs, as in "socket:[4711]". Zero: the
	// socket has no open file (accept queue, TIME_WAIT, orphan). The kernel reuses
	// the numbers of closed sockets.
	Inode uint64
	// Cookie is the kernel's identity of the socket, never reused while the host is
	// up (since Linux 4.6). Zero: not asked for ([NeedCookie]), or unknown.
	Cookie uint64
	// Flow is the flow id of a TCP connection: a hash of the two numbers with which it
	// began, the same at both ends, whatever translates addresses between them
	// ([NeedFlow]). The source bpf and events know it. Zero: unknown.
	Flow uint64
	// NetNS is the inode number of the network namespace, as in "net:[4026531840]".
	NetNS uint32
	// UID is the user id of the socket at its creation. The kernel keeps none for
	// TIME_WAIT and SYN_RECV, nor before Linux 6.17 for any socket without an open
	// file ([FactUID]).
	UID uint32
	// Mark is the socket's fwmark (SO_MARK). Zero: none, or unknown.
	Mark uint32
	// RecvQueue is the number of received and unread bytes; for a listener, the
	// number of connections in its accept queue. Events do not have it
	// ([FactRecvQueue]).
	RecvQueue uint32
	// SendQueue is the number of sent and unacknowledged bytes; for a listener, the
	// limit of its accept queue, unknown to the source procfs ([FactSendQueue]). Of
	// events only those of listeners have it.
	SendQueue uint32

	Proto     Proto
	Family    Family
	State     State
	Direction Direction
	// V6Only: an IPv6 socket takes no IPv4 (IPV6_V6ONLY). Only listeners have it, and
	// the source procfs does not know it ([FactV6Only]).
	V6Only bool
	// Subflow: it is a path of an MPTCP session beside the first, with ends of its
	// own. The session has the same inode and owners. The source procfs, for which
	// every path is a session of TCP, does not know it.
	Subflow bool
	// Reason is the reason for a session without owners; [ReasonNone] with owners.
	Reason Reason
	// Exposure says from how far a listener may be reached, by its address; zero for
	// other sessions. The source procfs does not know the device of a socket, and
	// goes by the address alone.
	Exposure Exposure
	// Unknown are the facts unknown to the source. Their values here mean nothing,
	// and their fields have none.
	Unknown Facts

	// NetNSName is the name of the network namespace, empty for none.
	NetNSName string
	// User is the name of UID, or its number as text for a nameless user. Empty:
	// UID is unknown.
	User string
	// BoundDev is the name of the device of the socket (SO_BINDTODEVICE), empty for
	// none.
	BoundDev string
	// Scope is the zone of a link-local address: the name of its device.
	Scope string

	// Unit and Container are the systemd unit and the container of the socket, by
	// its control group. Only sessions with hidden owners ([ReasonHidden]) have them,
	// if the kernel and the source give the group (netlink, since Linux 5.7).
	Unit, Container string

	// Owners are the processes with the socket open, by PID. A connection in the
	// accept queue ([ReasonAcceptQueue]) has its listener's owners, without
	// descriptors.
	Owners []Owner
	// Peer are the owners of the other end, if that is a session of this host too.
	Peer []Owner
	// TCP holds the facts of TCP alone. Nil: not TCP, or not asked for.
	TCP *TCPInfo
	// Life is the lifetime of the session. Nil: unknown, as in a listing of standing
	// sessions. An [Event] has it in itself.
	Life *Lifetime
}

// Facts is a set of facts of a session. The zero value is empty.
type Facts uint8

// The facts that a source may not know, and whose zero value would be false. All
// other unknown facts are zero or empty.
const (
	// FactUID: UID. User is empty then.
	FactUID Facts = 1 << iota
	// FactRecvQueue: RecvQueue.
	FactRecvQueue
	// FactSendQueue: SendQueue.
	FactSendQueue
	// FactV6Only: V6Only.
	FactV6Only
)

// Has reports whether the fact is in the set.
func (f Facts) Has(fact Facts) bool { return f&fact != 0 }

// HasRemote reports whether the session has another side: an address or a port of
// it. A listener has none, and neither has a socket that is only bound.
func (s *Session) HasRemote() bool {
	addr := s.Remote.Addr()
	return s.Remote.Port() != 0 || addr.IsValid() && !addr.IsUnspecified()
}

// IsListener reports whether the session waits for others: a TCP listener, or a
// bound UDP socket without a remote end.
func (s *Session) IsListener() bool { return s.State == Listen || s.State == Unconn }

// TCPInfo holds the figures of a TCP session (struct tcp_info).
type TCPInfo struct {
	// RTT is the smoothed round-trip time, in steps of a microsecond. Zero:
	// nothing was measured yet.
	RTT time.Duration
	// Retrans counts the segments sent again since the session began.
	Retrans uint32
	// BytesSent counts the payload bytes sent, those sent again not counted twice.
	BytesSent uint64
	// BytesReceived counts the payload bytes received.
	BytesReceived uint64
	// Cong is the name of the congestion control algorithm.
	Cong string
	// Cwnd is the congestion window in segments.
	Cwnd uint32
	// HasIdle: Idle is known.
	HasIdle bool
	// OnlyTimer: nothing is known but Timer, as of TIME_WAIT and SYN_RECV, or from the
	// source procfs.
	OnlyTimer bool
	// Unused: no byte of payload went either way yet, so that Idle is the age of the
	// connection.
	Unused bool
	// Idle is the time since the last byte of payload either way or, before the first,
	// since the connection was established, in the kernel's ticks (1 to 10 ms). The
	// kernel counts up to 2^32 of them: 50 days of 1,000 a second, and begins anew.
	Idle time.Duration
	// Timer is the running timer ([NeedTimer]).
	Timer Timer
}
