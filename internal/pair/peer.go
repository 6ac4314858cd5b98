package pair

import "encoding/binary"

// LocalEnd is the address that the other side knows a session by. A UDP socket
// without an address of its own that sends to an address of this host sends
// from that same address, and within 127.0.0.0/8 from 127.0.0.1. It is not to be
// written to.
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

// reaches reports whether the other end may be in a network namespace: that of
// a loopback address is in the same.
func (e *End) reaches(netns uint32) bool { return e.NetNS == netns || !IsLoopback(&e.Remote) }

// Nearer reports whether a session in namespace a that opened at one time is
// rather the other end of e, which opened at another, than one in b: the own
// namespace comes first, then the smaller difference of times.
func (e *End) Nearer(opened uint64, a uint32, aOpened uint64, b uint32, bOpened uint64) bool {
	if (a == e.NetNS) != (b == e.NetNS) {
		return a == e.NetNS
	}
	return Apart(aOpened, opened) < Apart(bOpened, opened)
}

// Apart is the difference of two times.
func Apart(a, b uint64) uint64 { return max(a, b) - min(a, b) }

// Hash is the same for both ends of a session. A salt that is drawn at random
// keeps those who choose ports from choosing chains.
func (e *End) Hash(salt uint64) uint64 {
	return hash(e.LocalEnd(), e.LocalPort, salt) + hash(&e.Remote, e.RemotePort, salt)
}

func hash(a *[16]byte, port uint16, salt uint64) uint64 {
	h := (binary.LittleEndian.Uint64(a[:]) ^ salt) * 0x9e3779b97f4a7c15
	h = (h ^ h>>29 ^ binary.LittleEndian.Uint64(a[8:]) ^ uint64(port)<<13) * 0xd6e8feb86659fd93
	return h ^ h>>32
}
