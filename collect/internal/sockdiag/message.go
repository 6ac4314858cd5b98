package sockdiag

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/netlink"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// The size of struct unix_diag_msg, and the attributes read (INET_DIAG_…).
const (
	unixLen = 16 // the inode is its second word

	attrInfo     = 2
	attrCong     = 4
	attrV6Only   = 11
	attrMark     = 15
	attrCgroupID = 21
	attrSockOpt  = 22
	attrTypeMask = 0x3fff // without NLA_F_NESTED and NLA_F_NET_BYTEORDER
)

// optTransparent is the bit transparent in the first byte of struct
// inet_diag_sockopt (Linux 5.10). Bits are counted from the end that the byte
// order begins with.
var optTransparent = [2]byte{1 << 5, 1 << 2}[binary.NativeEndian.Uint16([]byte{0, 1})&1]

// Offsets in struct tcp_info of the values read. Each kernel sends as much of
// it as it knows.
const (
	infoLastSent      = 44 // milliseconds, as the next
	infoLastReceived  = 52
	infoRTT           = 68
	infoCwnd          = 80
	infoTotalRetrans  = 100
	infoBytesReceived = 128 // since Linux 4.1
	infoBytesSent     = 200 // since Linux 4.19, with the next
	infoBytesRetrans  = 208
)

// rows takes the sockets of dumps. It belongs to one worker at a time.
type rows struct {
	sockets []source.Socket
	info    []whose.TCPInfo
	// names holds the names of congestion control algorithms, each once, so
	// naming one costs nothing. The kernel knows a dozen.
	names map[string]string
	// devices are those of sockets; lastDevice is the one noted last.
	devices    map[source.Device]struct{}
	lastDevice source.Device
}

// device notes a device.
func (r *rows) device(d source.Device) {
	if d == r.lastDevice {
		return
	}
	if r.devices == nil {
		r.devices = make(map[source.Device]struct{})
	}
	r.devices[d], r.lastDevice = struct{}{}, d
}

// truncate forgets everything read since the mark was taken.
func (r *rows) truncate(m mark) {
	r.sockets, r.info = r.sockets[:m.sockets], r.info[:m.info]
}

// adopt appends the rows of another and empties the other.
func (r *rows) adopt(o *rows) {
	shift, at := uint32(len(r.info)), len(r.sockets)
	r.info = append(r.info, o.info...)
	r.sockets = append(r.sockets, o.sockets...)
	if shift > 0 {
		for i := at; i < len(r.sockets); i++ {
			if r.sockets[i].TCPInfo > 0 {
				r.sockets[i].TCPInfo += shift
			}
		}
	}
	o.sockets, o.info = o.sockets[:0], o.info[:0]
}

// A mark is how far rows were filled.
type mark struct{ sockets, info int }

func (r *rows) mark() mark { return mark{len(r.sockets), len(r.info)} }

// name returns the name in b, without allocating for one met before.
func (r *rows) name(b []byte) string {
	for i, c := range b {
		if c == 0 {
			b = b[:i]
			break
		}
	}
	if s, ok := r.names[string(b)]; ok {
		return s
	}
	s := string(b)
	if r.names == nil {
		r.names = make(map[string]string)
	}
	if len(r.names) < 64 {
		r.names[s] = s
	}
	return s
}

// dump reads the answer to one request, datagram by datagram.
type dump struct {
	// seq and port are those of the request: messages with others are not ours.
	seq, port uint32
	netns     uint32
	proto     whose.Proto
	// families and states are wanted exactly, whatever the kernel sends.
	families whose.Set[whose.Family]
	states   whose.Set[whose.State]
	wantInfo bool
	// wantTimer: the timers are wanted.
	wantTimer bool

	// other, if not nil, gets the inodes of the sockets, which are not of the
	// internet, and nothing else is read of them.
	other interface{ Add(inode uint64) }

	// done: the answer is complete or has failed with errno.
	done  bool
	errno int
	// interrupted: the table changed meanwhile, by the kernel's word.
	interrupted bool
	// seen counts the sockets read, wanted or not; cookies is the sum of their
	// cookies. Two dumps with both equal are of the same sockets.
	seen    int
	cookies uint64
	// malformed counts records without sense, foreign those answering somebody
	// else's question.
	malformed, foreign int
	// last is the first row of the previous datagram.
	last int
}

// datagram reads one datagram and appends the sockets in it to out.
func (d *dump) datagram(b []byte, out *rows) {
	before, first := d.last, len(out.sockets)
	d.last = first
	messages := netlink.MessagesOf(b)
	for m := (netlink.Message{}); !d.done && messages.Next(&m); {
		d.message(&m, out)
	}
	if messages.Malformed {
		d.malformed++
	}
	if before < first && len(out.sockets) > first {
		dropRepeated(out, before, first)
	}
}

// message reads one netlink message.
func (d *dump) message(m *netlink.Message, out *rows) {
	if m.Seq != d.seq || m.Port != d.port {
		d.foreign++
		return
	}
	if m.Flags&netlink.FlagInterrupted != 0 {
		d.interrupted = true
	}
	switch m.Type {
	case netlink.TypeTCP, netlink.TypeByFamily:
		if d.other == nil {
			d.socket(m.Body, out)
		} else if len(m.Body) >= unixLen {
			d.other.Add(uint64(binary.NativeEndian.Uint32(m.Body[4:])))
		}
	case netlink.TypeDone, netlink.TypeError:
		d.done = true
		d.errno = m.Errno()
	case netlink.TypeOverrun:
		d.interrupted = true
	default: // NLMSG_NOOP and future types
	}
}

// socket reads one socket: a struct inet_diag_msg and its attributes.
func (d *dump) socket(b []byte, out *rows) {
	if len(b) < netlink.DiagLen {
		d.malformed++
		return
	}
	n := len(out.sockets)
	if n == cap(out.sockets) {
		out.sockets = append(out.sockets, source.Socket{})
	} else {
		out.sockets = out.sockets[:n+1]
		out.sockets[n] = source.Socket{}
	}
	s := &out.sockets[n]
	ok := d.fixed(b, s)
	if ok && d.attributes(b[netlink.DiagLen:], s, out) && d.wanted(s) {
		if d.wantTimer {
			noteTimer(b, s, out)
		}
		if s.Device != 0 {
			out.device(source.Device{NetNS: s.NetNS, Index: s.Device})
		}
		return
	}
	out.sockets = out.sockets[:n]
}

// fixed reads the fixed part, common to all sockets.
func (d *dump) fixed(b []byte, s *source.Socket) bool {
	ne := binary.NativeEndian
	_ = b[netlink.DiagLen-1]
	switch b[0] {
	case netlink.FamilyIPv4:
		s.Family = whose.IPv4
		s.Local = mapped(b[8:12])
		s.Remote = mapped(b[24:28])
	case netlink.FamilyIPv6:
		s.Family = whose.IPv6
		s.Local = [16]byte(b[8:24])
		s.Remote = [16]byte(b[24:40])
	default:
		d.malformed++
		return false
	}
	if s.State = d.state(b[1]); s.State == 0 {
		d.malformed++
		return false
	}
	s.Proto, s.NetNS = d.proto, d.netns
	s.LocalPort = binary.BigEndian.Uint16(b[4:])
	s.RemotePort = binary.BigEndian.Uint16(b[6:])
	s.Device = ne.Uint32(b[40:])
	s.Cookie = uint64(ne.Uint32(b[44:])) | uint64(ne.Uint32(b[48:]))<<32
	s.RecvQueue = ne.Uint32(b[56:])
	s.SendQueue = ne.Uint32(b[60:])
	s.UID = ne.Uint32(b[64:])
	s.Inode = uint64(ne.Uint32(b[68:]))
	d.seen++
	d.cookies += s.Cookie
	return true
}

// state returns the model's state of the kernel's, 0 for an unknown one.
func (d *dump) state(k uint8) whose.State {
	switch {
	case d.proto == whose.UDP || d.proto == whose.UDPLite:
		if k == stateEstablished {
			return whose.Established
		}
		if k == stateClose {
			return whose.Unconn
		}
		return 0
	case k == uint8(whose.NewSynRecv):
		return whose.SynRecv
	case k == stateBoundInactive:
		return whose.Close
	case k >= stateEstablished && k <= stateClosing:
		return whose.State(k)
	}
	return 0
}

// wanted reports whether the query asks for the socket, and it is a session. A
// socket without local port, neither connected nor listening, is none.
func (d *dump) wanted(s *source.Socket) bool {
	if s.LocalPort == 0 && s.RemotePort == 0 && s.State != whose.Listen {
		return false
	}
	return d.families.Has(s.Family) && d.states.Has(s.State)
}

// attributes reads the attributes behind the fixed part.
func (d *dump) attributes(b []byte, s *source.Socket, out *rows) bool {
	ne := binary.NativeEndian
	var info, cong []byte
	for len(b) >= 4 {
		length := int(ne.Uint16(b))
		if length < 4 || length > len(b) {
			d.malformed++
			return false
		}
		v := b[4:length]
		switch ne.Uint16(b[2:]) & attrTypeMask {
		case attrV6Only:
			if len(v) >= 1 && v[0] != 0 {
				s.V6Only = true
			}
		case attrMark:
			if len(v) >= 4 {
				s.Mark = ne.Uint32(v)
			}
		case attrCgroupID:
			if len(v) >= 8 {
				s.Cgroup = ne.Uint64(v)
			}
		case attrSockOpt:
			if len(v) >= 1 && v[0]&optTransparent != 0 {
				s.Flags |= source.SocketTransparent
			}
		case attrInfo:
			info = v
		case attrCong:
			cong = v
		}
		b = b[min((length+3)&^3, len(b)):]
	}
	if d.wantInfo && info != nil && s.State != whose.Listen && d.wanted(s) {
		one := tcpInfo(info, out.name(cong), s.State)
		one.HasIdle = len(info) >= infoLastReceived+4 && source.HasIdle(s.State)
		out.info = append(out.info, one)
		s.TCPInfo = uint32(len(out.info))
	}
	return true
}

// tcpInfo reads a struct tcp_info, as much of it as there is.
func tcpInfo(b []byte, cong string, state whose.State) whose.TCPInfo {
	u32 := func(at int) uint32 {
		if len(b) < at+4 {
			return 0
		}
		return binary.NativeEndian.Uint32(b[at:])
	}
	u64 := func(at int) uint64 {
		if len(b) < at+8 {
			return 0
		}
		return binary.NativeEndian.Uint64(b[at:])
	}
	sent, again := u64(infoBytesSent), u64(infoBytesRetrans)
	received := source.PayloadOf(u64(infoBytesReceived), state)
	return whose.TCPInfo{
		RTT:           time.Duration(u32(infoRTT)) * time.Microsecond,
		Retrans:       u32(infoTotalRetrans),
		BytesSent:     sent - min(again, sent),
		BytesReceived: received,
		Cong:          cong,
		Cwnd:          u32(infoCwnd),
		Unused:        len(b) >= infoBytesSent+8 && sent == 0 && received == 0,
		Idle:          time.Duration(min(u32(infoLastSent), u32(infoLastReceived))) * time.Millisecond,
	}
}

// Offsets in struct inet_diag_msg of the timer.
const (
	diagTimer   = 2
	diagRetrans = 3
	diagExpires = 52 // milliseconds
)

// noteTimer notes the timer of a socket, if one runs.
func noteTimer(b []byte, s *source.Socket, out *rows) {
	kind := source.TimerKind(b[diagTimer])
	if kind == 0 {
		return
	}
	if s.TCPInfo == 0 {
		out.info = append(out.info, whose.TCPInfo{OnlyTimer: true})
		s.TCPInfo = uint32(len(out.info))
	}
	left := int32(binary.NativeEndian.Uint32(b[diagExpires:])) // an old kernel gives what is due as less than nothing
	out.info[s.TCPInfo-1].Timer = whose.Timer{
		Kind: kind, Retrans: b[diagRetrans], Left: time.Duration(max(left, 0)) * time.Millisecond,
	}
}

// mapped returns the IPv4-mapped form of a 4-byte address.
func mapped(b []byte) [16]byte {
	a := [16]byte{10: 0xff, 11: 0xff}
	copy(a[12:], b)
	return a
}

// repeatable is how many sockets the kernel may send a second time: it takes
// the sockets of one hash chain in lots of so many.
const repeatable = 16

// dropRepeated removes repetitions from the rows beginning at first: those at
// the end of the previous datagram, whose rows begin at before. Between two
// datagrams the kernel notes only its place in a hash chain. If a socket was
// put into the chain meanwhile, it sends the one before again.
func dropRepeated(out *rows, before, first int) {
	tail := out.sockets[max(before, first-repeatable):first]
	head := out.sockets[first:min(first+repeatable, len(out.sockets))]
	repeated := 0
	for i := range head {
		for j := range tail {
			if sameSocket(&head[i], &tail[j]) {
				repeated++
				break
			}
		}
		if repeated <= i {
			break
		}
	}
	if repeated > 0 {
		out.sockets = append(out.sockets[:first], out.sockets[first+repeated:]...)
	}
}

// sameSocket reports whether two rows are of one socket. A cookie is not
// enough: if something asked a listening MPTCP socket for its cookie, the
// kernel gives the same one to each connection it accepts.
func sameSocket(a, b *source.Socket) bool {
	return a.Cookie == b.Cookie && a.Cookie != 0 && tupleOf(a) == tupleOf(b)
}

// A tuple is the addresses and ports of a socket.
type tuple struct {
	local, remote         [16]byte
	localPort, remotePort uint16
}

func tupleOf(s *source.Socket) tuple {
	return tuple{s.Local, s.Remote, s.LocalPort, s.RemotePort}
}

func (t tuple) compare(o tuple) int {
	return cmp.Or(
		bytes.Compare(t.local[:], o.local[:]), bytes.Compare(t.remote[:], o.remote[:]),
		cmp.Compare(t.localPort, o.localPort), cmp.Compare(t.remotePort, o.remotePort),
	)
}

// String names the dump, for errors.
func (d *dump) String() string { return fmt.Sprintf("dump %s sockets", d.proto) }
