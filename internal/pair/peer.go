package pair

import (
	"encoding/binary"

	"github.com/seed-44df2ae6/whose"
)

// LocalEnd is the address of a session as the other side sees it. A UDP socket
// without a local address sends to an address of this host from that same
// address, and within 127.0.0.0/8 from 127.0.0.1. Do not write to it.
func (e *End) LocalEnd() *[16]byte {
	if e.Proto.IsDatagram() && IsUnspecified(&e.Local) {
		return e.chosenEnd()
	}
	return &e.Local
}

func (e *End) chosenEnd() *[16]byte {
	if IsMapped(&e.Remote) && e.Remote[12] == 127 {
		return &loopbackIPv4
	}
	return &e.Remote
}

// Faces reports whether o is the other end of e by addresses, ports, protocol
// and namespace. A session with itself has no other end.
func (e *End) Faces(o *End) bool {
	return e.LocalPort == o.RemotePort && e.RemotePort == o.LocalPort && e.facesAt(o)
}

func (e *End) facesAt(o *End) bool {
	return *e.LocalEnd() == o.Remote && e.Remote == *o.LocalEnd() && e.Proto.IsDatagram() == o.Proto.IsDatagram() &&
		e.reaches(o.NetNS) && !e.facesItself()
}

func (e *End) facesItself() bool { return e.LocalPort == e.RemotePort && *e.LocalEnd() == e.Remote }

// Served returns the end that a connected datagram socket has in the eyes of a
// server without a socket for each client: the listener that takes it is its other
// end, if no socket faces it. It reports false if the server may be on another host
// or in another network namespace.
//
// Addresses of the host are those of the loopback device, and the one that the
// socket has itself. The traffic between them goes over that device.
func (e *End) Served() (server End, here bool) {
	local := *e.LocalEnd()
	if !e.Proto.IsDatagram() || e.RemotePort == 0 || e.IsListener() || !IsLoopback(&e.Remote) && e.Remote != local || e.facesItself() {
		return End{}, false
	}
	server = *e
	server.Local, server.Remote, server.LocalPort, server.RemotePort = e.Remote, local, e.RemotePort, e.LocalPort
	if server.Device = loopbackDevice; IsMapped(&server.Local) {
		server.Family = whose.IPv4
	}
	return server, true
}

// reaches reports whether the other end may be in a network namespace. For a
// loopback address it is the end's own.
func (e *End) reaches(netns uint32) bool { return e.NetNS == netns || !IsLoopback(&e.Remote) }

// Nearer compares two candidates for the other end of e, which opened at opened:
// one in namespace a, opened at aOpened, and one in b. It reports whether the
// first is the better. The own namespace comes first, then the smaller
// difference of times.
func (e *End) Nearer(opened uint64, a uint32, aOpened uint64, b uint32, bOpened uint64) bool {
	if (a == e.NetNS) != (b == e.NetNS) {
		return a == e.NetNS
	}
	return Apart(aOpened, opened) < Apart(bOpened, opened)
}

// Apart is the difference of two times.
func Apart(a, b uint64) uint64 { return max(a, b) - min(a, b) }

// Hash is the same for both ends of a session. A random salt keeps choosers of
// ports from choosing chains.
func (e *End) Hash(salt uint64) uint64 {
	return hash(e.LocalEnd(), e.LocalPort, salt) + hash(&e.Remote, e.RemotePort, salt)
}

func hash(a *[16]byte, port uint16, salt uint64) uint64 {
	h := (binary.LittleEndian.Uint64(a[:]) ^ salt) * 0x9e3779b97f4a7c15
	h = (h ^ h>>29 ^ binary.LittleEndian.Uint64(a[8:]) ^ uint64(port)<<13) * 0xd6e8feb86659fd93
	return h ^ h>>32
}
