package kill

import (
	"encoding/binary"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/netlink"
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
		family: netlink.FamilyIPv6, proto: netlink.ProtoTCP, device: device, cookie: s.Cookie,
		localPort: s.Local.Port(), remotePort: s.Remote.Port(),
	}
	switch s.Proto {
	case whose.UDP:
		k.proto = netlink.ProtoUDP
	case whose.UDPLite:
		k.proto = netlink.ProtoUDPLite
	}
	local, remote := s.Local.Addr(), s.Remote.Addr()
	if s.Family == whose.IPv4 {
		k.family = netlink.FamilyIPv4
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
	start := len(b)
	b = netlink.AppendHeader(b, typ, flags, seq)
	b = append(b, k.family, k.proto, 0, 0)
	b = ne.AppendUint32(b, ^uint32(0)) // every state
	b = be.AppendUint16(b, k.localPort)
	b = be.AppendUint16(b, k.remotePort)
	b = append(b, k.local[:]...)
	b = append(b, k.remote[:]...)
	b = ne.AppendUint32(b, k.device)
	b = ne.AppendUint32(b, uint32(k.cookie))
	b = ne.AppendUint32(b, uint32(k.cookie>>32))
	netlink.SetLength(b[start:])
	return b
}

// parseSock reads a struct inet_diag_msg, false for anything else.
func parseSock(b []byte, proto byte) (sock, bool) {
	if len(b) < netlink.DiagLen {
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
	messages := netlink.MessagesOf(b)
	for m := (netlink.Message{}); !a.done && messages.Next(&m); {
		if m.Seq != seq {
			continue
		}
		switch m.Type {
		case netlink.TypeError, netlink.TypeDone:
			a.done = true
			a.errno = m.Errno()
		case netlink.TypeByFamily:
			if k, ok := parseSock(m.Body, proto); ok {
				a.socks = append(a.socks, k)
			}
		}
	}
}
