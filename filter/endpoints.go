package filter

import "net/netip"

// Endpoints is a condition on both ends of a session; all of it has to hold.
// The zero value holds for every session.
type Endpoints struct {
	// Local and Remote are prefixes that the addresses are in; the zero Prefix
	// is no condition. IPv4 prefixes also mean IPv4-mapped addresses.
	Local, Remote netip.Prefix
	// LocalPorts and RemotePorts are ranges, both ends included; a zero range
	// is no condition.
	LocalPorts, RemotePorts PortRange
}

// A PortRange is a range of ports, both ends included. The zero value means
// no condition, not port 0.
type PortRange struct{ First, Last uint16 }

// Holds reports whether port is in the range, or there is no range.
func (r PortRange) Holds(port uint16) bool {
	return r == PortRange{} || r.First <= port && port <= r.Last
}

// Holds reports whether the condition holds for the two ends.
func (e *Endpoints) Holds(local, remote netip.AddrPort) bool {
	return e.LocalPorts.Holds(local.Port()) && e.RemotePorts.Holds(remote.Port()) &&
		prefixHolds(e.Local, local.Addr()) && prefixHolds(e.Remote, remote.Addr())
}

func prefixHolds(p netip.Prefix, a netip.Addr) bool { return !p.IsValid() || p.Contains(a) }

// Swapped returns the condition for the other end of the same session.
func (e Endpoints) Swapped() Endpoints {
	return Endpoints{Local: e.Remote, Remote: e.Local, LocalPorts: e.RemotePorts, RemotePorts: e.LocalPorts}
}
