package whose

import (
	"net/netip"
	"time"
)

// A Session is one TCP or UDP socket of the host as the kernel saw it when it
// was read, with the processes that own it.
//
// A Session is a plain value of 272 bytes. The slices in it belong to the answer that it
// came from, are never written again, and may be kept. The zero value is no
// session of any host.
type Session struct {
	// Local is the address and port on this side. An IPv4-mapped IPv6 address
	// is given as IPv4, and Family still tells the socket's own family. A
	// link-local address carries no zone; the zone is Scope.
	Local netip.AddrPort
	// Remote is the address and port of the other side: the unspecified
	// address and port 0 where the socket is not connected.
	Remote netip.AddrPort
	// Inode is the number of the socket in sockfs, as in "socket:[4711]".
	// Zero: the socket belongs to no open file (accept queue, TIME_WAIT,
	// orphan). Numbers are reused after the socket is gone.
	Inode uint64
	// Cookie is the kernel's identity of the socket, never reused while the
	// host is up (since Linux 4.6). Zero: the source does not know it.
	Cookie uint64
	// NetNS is the inode number of the network namespace, as in "net:[4026531840]".
	NetNS uint32
	// UID is the user id that the socket was created with. The kernel keeps none
	// for TIME_WAIT and SYN_RECV, nor before Linux 6.17 for any socket without
	// an open file (FactUID).
	UID uint32
	// Mark is the socket's fwmark (SO_MARK). Zero: none, or not known.
	Mark uint32
	// RecvQueue is the number of bytes received and not yet read by the
	// process; for a listener, the number of connections that wait to be accepted.
	// Events do not tell it (FactRecvQueue).
	RecvQueue uint32
	// SendQueue is the number of bytes sent and not yet acknowledged; for a
	// listener, the limit of its accept queue, which the source procfs does not
	// tell (FactSendQueue). Of events only those of listeners tell it.
	SendQueue uint32

	Proto     Proto
	Family    Family
	State     State
	Direction Direction
	// V6Only tells that an IPv6 socket takes no IPv4 (IPV6_V6ONLY). It is told
	// of listeners only, and not by the source procfs (FactV6Only).
	V6Only bool
	// Reason says why nobody holds the session; ReasonNone for a session with
	// owners.
	Reason Reason
	// Unknown are the facts that nobody told. Their values here mean nothing,
	// and their fields have none.
	Unknown Facts

	// NetNSName is the name of the network namespace, empty where it has none.
	NetNSName string
	// User is the name of UID, or its number as text where it has no name. Empty
	// where UID is not known.
	User string
	// BoundDev is the name of the device that the socket is bound to
	// (SO_BINDTODEVICE), empty for none.
	BoundDev string
	// Scope is the zone of a link-local address: the name of its device.
	Scope string

	// Unit and Container name the systemd unit and the container that made the
	// socket, by its control group. They are told of sessions whose owners are
	// hidden (ReasonHidden), and empty for all others and where the kernel or
	// the source does not tell the group (netlink, since Linux 5.7).
	Unit, Container string

	// Owners are the processes that hold the socket, by PID. For a connection
	// still in the accept queue (ReasonAcceptQueue) they are its listener's
	// owners, and hold no descriptor of it.
	Owners []Owner
	// Peer are the owners of the other end, where that is a session of this
	// host too.
	Peer []Owner
	// TCP holds what only a TCP session has. Nil: not TCP, or not asked for.
	TCP *TCPInfo
	// Life says when the session began and how it ended. Nil: not known, as in a
	// listing of what stands; an event has it in itself.
	Life *Lifetime
}

// Facts is a set of facts of a session. The zero value is empty.
type Facts uint8

// The facts that a source may not know, where their zero value would say
// something that is not so. All others are zero or empty where they are not known.
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

// IsListener reports whether the session waits for others: a TCP listener, or
// a UDP socket that is bound and not connected.
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
}
