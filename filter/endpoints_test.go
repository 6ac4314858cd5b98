package filter_test

import (
	"net/netip"
	"testing"

	"github.com/seed-44df2ae6/whose/filter"
)

func TestEndpoints_Swapped(t *testing.T) {
	e := filter.OnLocal(netip.MustParsePrefix("10.0.0.0/8"), filter.AnyPort)
	e.RemotePorts = filter.PortRange{First: 443, Last: 443}
	here, there := netip.MustParseAddrPort("10.1.2.3:5000"), netip.MustParseAddrPort("192.0.2.1:443")
	if !e.Holds(here, there) {
		t.Error("the condition does not hold for the session it describes")
	}
	other := e.Swapped()
	if !other.Holds(there, here) || other.Holds(here, there) {
		t.Error("the swapped condition is not that of the other end")
	}
}

func TestPortRange_Holds(t *testing.T) {
	var zero filter.PortRange
	if !zero.Holds(0) || zero.Holds(1) {
		t.Error("the zero range is not port 0 alone")
	}
	if !filter.AnyPort.Holds(0) || !filter.AnyPort.Holds(65535) {
		t.Error("AnyPort lacks a port")
	}
	if !filter.AnyEnds.Holds(netip.AddrPort{}, netip.MustParseAddrPort("[::1]:65535")) {
		t.Error("AnyEnds refuses a session")
	}
}
