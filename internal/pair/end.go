package pair

import (
	"encoding/binary"
	"net/netip"

	"github.com/seed-44df2ae6/whose"
)

// An End is one end of a session, with the facts for the rules. It has no
// pointers and takes 48 bytes. Sockets and entries of the live table embed it.
type End struct {
	// Local and Remote are 16-byte addresses, IPv4 as IPv4-mapped.
	Local, Remote [16]byte
	// NetNS is the inode of the network namespace.
	NetNS uint32
	// Device is the device the socket is bound to, 0 for none. Compare numbers
	// within a namespace only.
	Device uint32
	// LocalPort and RemotePort in host byte order; 0 for no remote end.
	LocalPort, RemotePort uint16
	Proto                 whose.Proto
	Family                whose.Family
	State                 whose.State
	// V6Only is IPV6_V6ONLY.
	V6Only bool
}

// Of returns the end of a session. Device stays 0: a session does not have its
// number.
func Of(s *whose.Session) End {
	return End{
		Local: Mapped(s.Local.Addr(), s.Family), Remote: Mapped(s.Remote.Addr(), s.Family),
		LocalPort: s.Local.Port(), RemotePort: s.Remote.Port(), NetNS: s.NetNS,
		Proto: s.Proto, Family: s.Family, State: s.State, V6Only: s.V6Only,
	}
}

// AnyIPv6 and AnyIPv4 are the unspecified addresses.
var (
	AnyIPv6 [16]byte
	AnyIPv4 = [16]byte{10: 0xff, 11: 0xff}
)

var loopbackIPv4 = [16]byte{10: 0xff, 11: 0xff, 12: 127, 15: 1}

// IsMapped reports whether an address is IPv4.
func IsMapped(a *[16]byte) bool {
	return binary.BigEndian.Uint64(a[:8]) == 0 && binary.BigEndian.Uint32(a[8:12]) == 0xffff
}

// IsUnspecified reports whether an address is [AnyIPv6] or [AnyIPv4].
func IsUnspecified(a *[16]byte) bool { return *a == AnyIPv6 || *a == AnyIPv4 }

// IsLoopback reports whether an address leads to its own network namespace.
func IsLoopback(a *[16]byte) bool {
	return IsMapped(a) && a[12] == 127 || *a == [16]byte{15: 1}
}

// Mapped returns an address as 16 bytes, IPv4 as IPv4-mapped. The zero
// [netip.Addr] becomes the unspecified address of the family.
func Mapped(a netip.Addr, f whose.Family) [16]byte {
	switch {
	case a.IsValid():
		return a.As16()
	case f == whose.IPv4:
		return AnyIPv4
	}
	return AnyIPv6
}

// loopbackDevice is the number of the loopback device in every network namespace
// (LOOPBACK_IFINDEX). Its name can be changed.
const loopbackDevice = 1

// Exposure returns the exposure of a listener by its address and device. Device
// has to be the kernel's number.
func (e *End) Exposure() whose.Exposure {
	return whose.ExposureOf(netip.AddrFrom16(e.Local), e.Device == loopbackDevice)
}

// AddrPort is the reverse of [Mapped], with a port.
func AddrPort(a [16]byte, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16(a).Unmap(), port)
}
