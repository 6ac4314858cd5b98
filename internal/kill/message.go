package kill

import (
	"encoding/binary"

	"github.com/seed-44df2ae6/whose"
)

// The kernel's names of linux/netlink.h, linux/sock_diag.h and linux/inet_diag.h.
const (
	typeError    = 2  // NLMSG_ERROR
	typeDone     = 3  // NLMSG_DONE
	typeByFamily = 20 // SOCK_DIAG_BY_FAMILY
	typeDestroy  = 21 // SOCK_DESTROY, since Linux 4.5
	flagRequest  = 0x1
	flagAck      = 0x4
	flagDump     = 0x300

	headerLen  = 16
	requestLen = headerLen + 56 // struct inet_diag_req_v2
	diagLen    = 72             // struct inet_diag_msg

	familyIPv4 = 2
	familyIPv6 = 10

	protoTCP     = 6
	protoUDP     = 17
	protoUDPLite = 136
)

// A sock is a socket as sock_diag names it.
type sock struct {
	family, proto         byte
	local, remote         [16]byte // of IPv4 the first four bytes
	localPort, remotePort uint16
	device                uint32
	cookie                uint64
	inode                 uint32 // of answers
}

// sockOf returns the socket of a session, on a device by its number.
func sockOf(s *whose.Session, device uint32) sock {
	k := sock{
		family: familyIPv6, proto: protoTCP, device: device, cookie: s.Cookie,
		localPort: s.Local.Port(), remotePort: s.Remote.Port(),
	}
	switch s.Proto {
	case whose.UDP:
		k.proto = protoUDP
	case whose.UDPLite:
		k.proto = protoUDPLite
	}
	local, remote := s.Local.Addr(), s.Remote.Addr()
	if s.Family == whose.IPv4 {
		k.family = familyIPv4
		a, b := local.As4(), remote.As4()
		copy(k.local[:], a[:])
		copy(k.remote[:], b[:])
		return k
	}
	k.local, k.remote = local.As16(), remote.As16()
	return k
}

// appendRequest appends a request about the socket.
func (k *sock) appendRequest(b []byte, typ, flags uint16, seq uint32) []byte {
	ne, be := binary.NativeEndian, binary.BigEndian
	b = ne.AppendUint32(b, requestLen)
	b = ne.AppendUint16(b, typ)
	b = ne.AppendUint16(b, flagRequest|flags)
	b = ne.AppendUint32(b, seq)
	b = ne.AppendUint32(b, 0)
	b = append(b, k.family, k.proto, 0, 0)
	b = ne.AppendUint32(b, ^uint32(0)) // every state
	b = be.AppendUint16(b, k.localPort)
	b = be.AppendUint16(b, k.remotePort)
	b = append(b, k.local[:]...)
	b = append(b, k.remote[:]...)
	b = ne.AppendUint32(b, k.device)
	b = ne.AppendUint32(b, uint32(k.cookie))
	return ne.AppendUint32(b, uint32(k.cookie>>32))
}

// parseSock reads a struct inet_diag_msg, false for anything else.
func parseSock(b []byte, proto byte) (sock, bool) {
	if len(b) < diagLen {
		return sock{}, false
	}
	ne, be := binary.NativeEndian, binary.BigEndian
	return sock{
		family: b[0], proto: proto, localPort: be.Uint16(b[4:]), remotePort: be.Uint16(b[6:]),
		local: [16]byte(b[8:24]), remote: [16]byte(b[24:40]), device: ne.Uint32(b[40:]),
		cookie: uint64(ne.Uint32(b[44:])) | uint64(ne.Uint32(b[48:]))<<32, inode: ne.Uint32(b[68:]),
	}, true
}

// An answer is the kernel's answer to one request.
type answer struct {
	socks []sock
	errno int
	done  bool
}

// read reads a datagram of the answer to a request.
func (a *answer) read(b []byte, seq uint32, proto byte) {
	ne := binary.NativeEndian
	for len(b) >= headerLen && !a.done {
		length := ne.Uint32(b)
		if length < headerLen || uint64(length) > uint64(len(b)) {
			return
		}
		body := b[headerLen:length]
		if ne.Uint32(b[8:]) == seq {
			switch ne.Uint16(b[4:]) {
			case typeError, typeDone:
				a.done = true
				if len(body) >= 4 {
					a.errno = -int(int32(ne.Uint32(body)))
				}
			case typeByFamily:
				if k, ok := parseSock(body, proto); ok {
					a.socks = append(a.socks, k)
				}
			}
		}
		b = b[min(int(length+3)&^3, len(b)):]
	}
}
