package filter_test

import (
	"net/netip"
	"testing"

	"github.com/seed-44df2ae6/whose/filter"
)

func TestEndpoints_Swapped(t *testing.T) {
	e := filter.Endpoints{Local: netip.MustParsePrefix("10.0.0.0/8"), RemotePorts: filter.PortRange{First: 443, Last: 443}}
	here, there := netip.MustParseAddrPort("10.1.2.3:5000"), netip.MustParseAddrPort("192.0.2.1:443")
	if !e.Holds(here, there) {
		t.Error("the condition does not hold for the session it describes")
	}
	other := e.Swapped()
	if !other.Holds(there, here) || other.Holds(here, there) {
		t.Error("the swapped condition is not that of the other end")
	}
}
