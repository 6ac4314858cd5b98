package pair

import "github.com/seed-44df2ae6/whose"

// A Port is what listeners share that may take the same session. The zero value
// is no port.
type Port struct {
	netns    uint32
	port     uint16
	datagram bool
	lite     bool
}

// Port returns the port that a session or listener is on.
func (e *End) Port() Port {
	return Port{e.NetNS, e.LocalPort, e.Proto.IsDatagram(), e.Proto == whose.UDPLite}
}

// IsListener reports whether a socket takes sessions: a TCP listener, or a UDP
// socket that is only bound.
func (e *End) IsListener() bool { return e.State == whose.Listen || e.State == whose.Unconn }

// The ranks of a listener: what weighs more has the higher bit.
const (
	takes    = 1 << iota // at all
	byDevice             // it is bound to the device of the session
	exact                // it is bound to just the local address
	kin                  // it is of the family of the session
)

// Rank says how well a listener on the same [Port] matches a session: the
// highest rank takes it, and 0 does not.
//
// The kernel looks for a listener on just the address first, then for one on
// all addresses; among these one that is bound to the device comes first, and
// then for IPv4 one of AF_INET (compute_score and __inet_lookup_listener in
// net/ipv4/inet_hashtables.c and net/ipv6/inet6_hashtables.c). The session
// inherits family and device of its listener: so the family decides where both
// families listen, and a listener on another device does not match. A session of
// a listener without a device may have one: that of a link-local address, or a
// VRF.
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

// Shares reports whether two listeners on the same [Port] share what comes: a
// SO_REUSEPORT group, of which nobody outside the kernel can tell which one a
// session waits for.
func (l *End) Shares(o *End) bool {
	return l.Local == o.Local && l.Device == o.Device && l.Family == o.Family && l.V6Only == o.V6Only
}
