package pair

import "github.com/seed-44df2ae6/whose"

// A Port is the common key of listeners for the same session: namespace, port and
// protocol in one word. The zero value is no port.
type Port uint64

// Port returns the port of a session or listener.
func (e *End) Port() Port {
	p := Port(e.NetNS)<<32 | Port(e.LocalPort)
	if e.Proto.IsDatagram() {
		p |= 1 << 16
	}
	if e.Proto == whose.UDPLite {
		p |= 1 << 17
	}
	return p
}

// IsListener reports whether a socket takes sessions: a TCP listener, or an
// unconnected UDP socket.
func (e *End) IsListener() bool { return e.State == whose.Listen || e.State == whose.Unconn }

// The ranks of a listener. Weightier reasons have the higher bit.
const (
	takes    = 1 << iota // at all
	byDevice             // bound to the device of the session
	exact                // bound to just the local address
	kin                  // of the family of the session
)

// Rank says how well a listener on the same [Port] matches a session. The
// highest rank takes it; 0 does not match.
//
// The kernel looks for a listener on just the address first, then for one on all
// addresses. Among these it prefers one bound to the device, and then for IPv4
// one of AF_INET (compute_score and __inet_lookup_listener in
// net/ipv4/inet_hashtables.c and net/ipv6/inet6_hashtables.c). The session
// inherits family and device of its listener: the family decides if both
// families listen, and a listener on another device does not match. A listener
// without a device may have sessions with one: the device of a link-local
// address, or a VRF.
func (l *End) Rank(s *End) int {
	rank := takes
	switch {
	case l.Local == s.Local:
		rank |= exact
	case l.Local == AnyIPv4:
		if !IsMapped(&s.Local) {
			return 0
		}
	case l.Local != AnyIPv6 || l.V6Only && IsMapped(&s.Local):
		return 0
	}
	if l.Device != 0 {
		if l.Device != s.Device {
			return 0
		}
		rank |= byDevice
	}
	if l.Family == s.Family {
		rank |= kin
	}
	return rank
}

// Shares reports whether two listeners on the same [Port] share sessions: an
// SO_REUSEPORT group. Outside the kernel nobody knows for which of them a
// session waits.
func (l *End) Shares(o *End) bool {
	return l.Local == o.Local && l.Device == o.Device && l.Family == o.Family && l.V6Only == o.V6Only
}
