package bpfevent

import "github.com/seed-44df2ae6/whose/internal/pair"

// A Kind is the kind of a record.
type Kind uint8

// The kinds of records.
const (
	// TCPOpen: a connection is established. Task is the caller of connect; for an
	// incoming connection it is zero until TCPAccept.
	TCPOpen Kind = iota + 1
	// TCPAccept: Task accepted the connection.
	TCPAccept
	// TCPClose: an established connection is closed. If its opening was reported
	// before, it is known, and Opened, Out and Task are not set. With
	// [Config].Whole this may be the only record of a connection.
	TCPClose
	// TCPFail: a connect failed. Err is the reason; 0 from OldState SYN_SENT is a
	// socket closed by its process meanwhile, and from OldState 0 an error seen
	// only by the process.
	TCPFail
	// TCPListen and TCPUnlisten: a socket began or ceased to listen.
	TCPListen
	TCPUnlisten
	// UDPBind: a process bound a UDP socket.
	UDPBind
	// UDPOpen: the first datagram of a flow (cookie and remote).
	UDPOpen
	// UDPClose: the flow's socket was closed, or the flow gave way to another in
	// the kernel's map (Evicted). It has the final counts.
	UDPClose
	// ProcessSeen: the process Task is about to be named for the first time. Text
	// holds its command line and Exe its executable. The record comes before the
	// one that names the process.
	ProcessSeen
	// ProcessExec and ProcessExit: a named process called exec (its Text is new),
	// or its last thread exited.
	ProcessExec
	ProcessExit
)

// A Record is the programs' account of one event, decoded. Numbers are in host
// byte order.
type Record struct {
	// Time is the boot clock (CLOCK_BOOTTIME) in nanoseconds.
	Time uint64
	// Opened is the time when the session was established, or the attempt began,
	// on the same clock; 0 where the programs did not see it.
	Opened uint64
	// Cookie is the socket's cookie.
	Cookie uint64
	// Inode of the socket, 0 where it has no file (yet).
	Inode uint64
	// Cgroup is the id of the socket's cgroup v2.
	Cgroup uint64
	// Flow is the flow id of a connection, 0 where it is not known.
	Flow uint64
	// BytesSent, BytesReceived of payload, and datagrams of a UDP flow.
	BytesSent, BytesReceived         uint64
	DatagramsSent, DatagramsReceived uint64
	// NetNS is the inode of the network namespace; UID the socket's owner; Mark its fwmark.
	NetNS, UID, Mark uint32
	// Device is the index of the bound device.
	Device uint32
	// RTT is the smoothed round-trip time in microseconds.
	RTT uint32
	// Retrans counts segments sent again.
	Retrans uint32
	// Err is the socket's pending error or connect's result, a positive errno.
	Err uint32
	// Backlog is a listener's limit.
	Backlog uint32
	// Task is the process of the event; PID 0 where there is none.
	Task Task
	// Local and Remote are 16-byte addresses, IPv4 as IPv4-mapped.
	Local, Remote         [16]byte
	LocalPort, RemotePort uint16
	Kind                  Kind
	// Proto and Family as in the model (whose.Proto, whose.Family).
	Proto, Family uint8
	// OldState is the TCP state before CLOSE (whose.State).
	OldState uint8
	// Origin is how the socket came to its connection: of a TCPClose whose opening
	// was not seen by its own word, of other TCP records as Out has it.
	Origin pair.Origin
	// Out: the connection was made from here; for a UDP flow, its first datagram
	// was sent from here.
	Out bool
	// V6Only is IPV6_V6ONLY.
	V6Only bool
	// ResetHere: a reset was sent from here rather than received.
	ResetHere bool
	// Accepted: with TCPClose, a process had accepted it.
	Accepted bool
	// Queued: with TCPClose, it ended with its listener, in whose queue it was.
	// Nobody accepted it. Task ended the listener, and need not have owned it.
	Queued bool
	// RemoteUnknown: datagrams of an unconnected socket came by a call that does
	// not name their sender.
	RemoteUnknown bool
	// Evicted: the flow gave way to another.
	Evicted bool
	// Text is the command line, its arguments separated by NUL, and Exe the path
	// of the executable as far as the programs read it; only for ProcessSeen and
	// ProcessExec. They are valid until the next record.
	Text, Exe []byte
}

// A Task is the process of an event.
type Task struct {
	// PID is the thread group in the pid namespace of the reader, 0 where it is
	// not visible there. Parent is its parent's.
	PID, Parent uint32
	// UID is the effective user id.
	UID uint32
	// Start is its start time, in clock ticks of 10 ms since boot.
	Start uint64
	// Cgroup is the id of its cgroup v2.
	Cgroup uint64
	// Comm is the name of its main thread, padded with NUL.
	Comm [16]byte
}

// Losses count the losses since the source was opened.
type Losses struct {
	// Ring: records that found the ring buffer full. Each counts as often as it
	// would have come as a [Record].
	Ring uint64
	// Recursion: runs of the programs skipped by the kernel because one of them
	// was under way on the same CPU (recursion_misses). Misses of the two
	// programs at inet_sock_set_state do not count: one takes the other's misses,
	// and a third level of TCP on one CPU does not exist.
	Recursion uint64
	// Flows: UDP flows without a place in the map, and with [Config].Packets
	// packets whose whereabouts are unknown.
	Flows uint64
	// Sockets: sockets without a note, or with an unseen end: the process or the
	// opening of one may be missing.
	Sockets uint64
	// Forgotten: processes whose names were let go of, for there were too many, and
	// of which no exit was seen. No record is lost with them.
	Forgotten uint64
}
