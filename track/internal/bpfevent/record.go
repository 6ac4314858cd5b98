package bpfevent

// A Kind is what a record tells.
type Kind uint8

// The kinds of records.
const (
	// TCPOpen: a connection is established. Of an outgoing one Task is the
	// caller of connect; of an incoming one it is zero until TCPAccept.
	TCPOpen Kind = iota + 1
	// TCPAccept: the connection was accepted by Task.
	TCPAccept
	// TCPClose: a connection that was established is closed. Of one that was
	// told to be open before, and so is known, Opened, Out and Task are not set.
	// With Config.Whole it may be all that is told of a connection.
	TCPClose
	// TCPFail: a connect did not come about. Err says why; 0 from OldState
	// SYN_SENT is a socket that its process closed meanwhile, and from OldState 0
	// an error that nothing but the process saw.
	TCPFail
	// TCPListen and TCPUnlisten: a socket began or ceased to listen.
	TCPListen
	TCPUnlisten
	// UDPBind: a process bound a UDP socket.
	UDPBind
	// UDPOpen: the first datagram of a flow (cookie and remote).
	UDPOpen
	// UDPClose: the flow's socket was closed, or the flow gave way to another
	// in the kernel's map (Evicted); with its final counts.
	UDPClose
	// ProcessSeen: the process Task is about to be named for the first time;
	// Text holds its command line and executable. It comes before the record
	// that names it.
	ProcessSeen
	// ProcessExec and ProcessExit: a process that was named called exec (its
	// Text is new), or its last thread exited.
	ProcessExec
	ProcessExit
)

// A Record is what the programs told of one event, decoded. Numbers are in
// host byte order.
type Record struct {
	// Time is the boot clock (CLOCK_BOOTTIME) in nanoseconds.
	Time uint64
	// Opened is when the session was established, or the attempt began, on
	// the same clock; 0 where the programs did not see it.
	Opened uint64
	// Cookie is the socket's cookie.
	Cookie uint64
	// Inode of the socket, 0 where it has no file (yet).
	Inode uint64
	// Cgroup is the id of the socket's cgroup v2.
	Cgroup uint64
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
	// Out tells that the connection was made from here; of a UDP flow, that its
	// first datagram was sent from here.
	Out bool
	// V6Only is IPV6_V6ONLY.
	V6Only bool
	// ResetHere tells that a reset was sent from here rather than received.
	ResetHere bool
	// Accepted tells with TCPClose whether a process had accepted it.
	Accepted bool
	// RemoteUnknown tells that datagrams of an unconnected socket came by a
	// call that does not say from where.
	RemoteUnknown bool
	// Evicted tells that the flow gave way to another.
	Evicted bool
	// Text is the command line, arguments parted by NUL, and Exe the path of
	// the executable as far as the programs read it; for ProcessSeen and
	// ProcessExec only. They are valid until the next record.
	Text, Exe []byte
}

// A Task is the process of an event.
type Task struct {
	// PID is the thread group in the pid namespace of the reader, 0 where it
	// is not visible there. Parent is its parent's.
	PID, Parent uint32
	// UID is the effective user id.
	UID uint32
	// Start is when it started, in clock ticks of 10 ms since boot.
	Start uint64
	// Cgroup is the id of its cgroup v2.
	Cgroup uint64
	// Comm is the name of its main thread, padded with NUL.
	Comm [16]byte
}

// Losses count what did not come through, since the source was opened.
type Losses struct {
	// Ring: records that found the ring buffer full, each counted as often as it
	// would have been told in Records.
	Ring uint64
	// Recursion: runs of the programs that the kernel left out because one of
	// them was under way on the same CPU (recursion_misses). Those of the two
	// programs at inet_sock_set_state are none: one takes what the other misses,
	// and a third level of TCP on one CPU does not exist.
	Recursion uint64
	// Flows: UDP flows that found no place in the map, and with Config.Packets
	// packets of which it is not known where they went.
	Flows uint64
	// Sockets: sockets of which no note could be kept, or whose end went unseen:
	// the process of one may be missing, or that it opened.
	Sockets uint64
}
