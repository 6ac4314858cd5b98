package filter

import (
	"math"
	"net/netip"
)

// A PortRange is a range of ports, both ends included. The zero value is port
// 0 alone.
type PortRange struct{ First, Last uint16 }

// AnyPort is the range of all ports.
var AnyPort = PortRange{First: 0, Last: math.MaxUint16}

// Holds reports whether port is in the range.
func (r PortRange) Holds(port uint16) bool { return r.First <= port && port <= r.Last }

// Endpoints is a condition on both ends of a session; all of it has to hold.
// Conditions on some of the four parts start from [AnyEnds].
type Endpoints struct {
	// Local and Remote are prefixes of the addresses; the zero Prefix is no
	// condition. IPv4 prefixes also mean IPv4-mapped addresses.
	Local, Remote netip.Prefix
	// LocalPorts and RemotePorts are ranges of the ports; [AnyPort] is no condition.
	LocalPorts, RemotePorts PortRange
}

// AnyEnds is the condition met by every session.
var AnyEnds = Endpoints{LocalPorts: AnyPort, RemotePorts: AnyPort}

// OnLocal returns the condition on the local end alone.
func OnLocal(prefix netip.Prefix, ports PortRange) Endpoints {
	return Endpoints{Local: prefix, LocalPorts: ports, RemotePorts: AnyPort}
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
