package netlink

import "encoding/binary"

// The kernel's names of linux/netlink.h, linux/sock_diag.h and linux/inet_diag.h.
// They are repeated here to build, read and test requests and answers on every
// system.
const (
	TypeError    = 2  // NLMSG_ERROR
	TypeDone     = 3  // NLMSG_DONE
	TypeOverrun  = 4  // NLMSG_OVERRUN
	TypeTCP      = 18 // TCPDIAG_GETSOCK
	TypeByFamily = 20 // SOCK_DIAG_BY_FAMILY
	TypeDestroy  = 21 // SOCK_DESTROY, since Linux 4.5

	FlagRequest     = 0x1
	FlagAck         = 0x4
	FlagInterrupted = 0x10 // NLM_F_DUMP_INTR
	FlagDump        = 0x300

	FamilyUnspec = 0
	FamilyUnix   = 1
	FamilyIPv4   = 2
	FamilyIPv6   = 10

	ProtoTCP     = 6
	ProtoUDP     = 17
	ProtoUDPLite = 136
	ProtoMPTCP   = 262
)

// The sizes in bytes of struct nlmsghdr and of struct inet_diag_msg.
const (
	HeaderLen = 16
	DiagLen   = 72
)

// A Message is one message of the kernel.
type Message struct {
	Type, Flags uint16
	// Seq and Port are those of the request that it answers.
	Seq, Port uint32
	// Body is what follows the header. It is part of the datagram.
	Body []byte
}

// Errno returns the number of the error in a message of [TypeError] or [TypeDone], 0
// for none.
func (m *Message) Errno() int {
	if len(m.Body) < 4 {
		return 0
	}
	return -int(int32(binary.NativeEndian.Uint32(m.Body)))
}

// Messages are the messages of a datagram that were not read yet. The zero value has
// none.
type Messages struct {
	// Malformed: the last call of Next met something that is no whole message.
	Malformed bool

	rest []byte
}

// MessagesOf returns the messages of a datagram.
func MessagesOf(datagram []byte) Messages { return Messages{rest: datagram} }

// Next puts the next message into m. It returns false after the last one, and at the
// first malformed one.
func (all *Messages) Next(m *Message) bool {
	b := all.rest
	if len(b) < HeaderLen {
		all.Malformed = len(b) > 0
		return false
	}
	ne := binary.NativeEndian
	length := ne.Uint32(b)
	if length < HeaderLen || uint64(length) > uint64(len(b)) {
		all.Malformed = true
		return false
	}
	m.Type, m.Flags, m.Seq, m.Port = ne.Uint16(b[4:]), ne.Uint16(b[6:]), ne.Uint32(b[8:]), ne.Uint32(b[12:])
	m.Body = b[HeaderLen:length:length]
	all.rest = b[min(int(length+3)&^3, len(b)):]
	return true
}

// AppendHeader appends the header of a request with flags beside FlagRequest. The
// length of the whole is set by [SetLength].
func AppendHeader(b []byte, typ, flags uint16, seq uint32) []byte {
	ne := binary.NativeEndian
	b = ne.AppendUint32(b, 0)
	b = ne.AppendUint16(b, typ)
	b = ne.AppendUint16(b, FlagRequest|flags)
	b = ne.AppendUint32(b, seq)
	return ne.AppendUint32(b, 0)
}

// SetLength completes the header of the request, which is all of b.
func SetLength(b []byte) { binary.NativeEndian.PutUint32(b, uint32(len(b))) }
