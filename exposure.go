package whose

import "net/netip"

// An Exposure is the farthest place from which a listener may be reached, by the
// address that it is bound to.
//
// It follows from the address and from a binding to the loopback device alone. No
// firewall, route or forwarded port is asked, and neither is what the network
// namespace leads to: the address "any" in a namespace without a device is still any.
type Exposure uint8

// The exposures, the nearest first. Sessions other than listeners have none, the
// zero value.
const (
	// ExposureLoopback: from its own network namespace alone.
	ExposureLoopback Exposure = iota + 1
	// ExposureLink: from hosts on the same link. The address is link-local.
	ExposureLink
	// ExposurePrivate: from private networks: 10.0.0.0/8, 172.16.0.0/12,
	// 192.168.0.0/16, 100.64.0.0/10 (between a provider and its customers),
	// 198.18.0.0/15 (benchmarks), fc00::/7 and fec0::/10.
	ExposurePrivate
	// ExposurePublic: from everywhere. The address is none of the above.
	ExposurePublic
	// ExposureAny: by every address that the namespace has or gets.
	ExposureAny
)

var exposureNames = enum{
	ExposureLoopback: "loopback", ExposureLink: "link", ExposurePrivate: "private",
	ExposurePublic: "public", ExposureAny: "any",
}

// String returns "loopback", "link", "private", "public", "any" or "".
func (e Exposure) String() string { return exposureNames.name(uint8(e)) }

// Exposures returns all exposures, the nearest first.
func Exposures() []Exposure { return valuesOf[Exposure](exposureNames) }

var (
	privatePrefixes = [...]netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
		netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("198.18.0.0/15"),
		netip.MustParsePrefix("fc00::/7"), netip.MustParsePrefix("fec0::/10"),
	}
	broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})
	// siteMulticast are the groups of a site (RFC 2365).
	siteMulticast = netip.MustParsePrefix("239.0.0.0/8")
)

// ExposureOf returns the exposure of a listener by its local address.
// onLoopback: it is bound to the loopback device (SO_BINDTODEVICE), which takes
// nothing from elsewhere. An IPv4-mapped address counts as IPv4. A group of
// multicast reaches as far as its scope.
func ExposureOf(local netip.Addr, onLoopback bool) Exposure {
	local = local.Unmap()
	switch {
	case onLoopback, local.IsLoopback():
		return ExposureLoopback
	case !local.IsValid(), local.IsUnspecified():
		return ExposureAny
	case local.IsMulticast():
		return exposureOfGroup(local)
	case local.IsLinkLocalUnicast(), local == broadcast:
		return ExposureLink
	}
	for _, p := range privatePrefixes {
		if p.Contains(local.WithZone("")) {
			return ExposurePrivate
		}
	}
	return ExposurePublic
}

// exposureOfGroup is that of a group of multicast, by its scope.
func exposureOfGroup(group netip.Addr) Exposure {
	if group.Is4() {
		switch {
		case group.IsLinkLocalMulticast():
			return ExposureLink
		case siteMulticast.Contains(group):
			return ExposurePrivate
		}
		return ExposurePublic
	}
	switch scope := group.As16()[1] & 0xf; {
	case scope <= 1: // interface-local
		return ExposureLoopback
	case scope == 2:
		return ExposureLink
	case scope < 0xe: // realm, administration, site, organisation
		return ExposurePrivate
	}
	return ExposurePublic
}
