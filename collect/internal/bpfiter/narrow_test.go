package bpfiter

import (
	"net/netip"
	"testing"

	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// TestNewNarrow_Listeners shows that what listens meets the conditions on the
// ends of others too, and that without room for it there are none.
func TestNewNarrow_Listeners(t *testing.T) {
	web := filter.OnLocal(netip.MustParsePrefix("10.0.0.0/8"), filter.PortRange{First: 443, Last: 443}).Swapped()
	q := *asking(source.Query{Any: []filter.Endpoints{web}})
	if n := newNarrow(&q); n.nEnds != 1 || n.ends[0].rportFirst != 443 || n.ends[0].remoteMask[12] != 0xff {
		t.Errorf("one condition: %+v", n.ends[:n.nEnds])
	}
	q.Listeners = true
	if n := newNarrow(&q); n.nEnds != 2 || n.ends[1] != (ends{lportLast: 0xffff}) {
		t.Errorf("with listeners: %+v", n.ends[:n.nEnds])
	}
	q.Any = nil
	if n := newNarrow(&q); n.nEnds != 0 {
		t.Errorf("no condition but listeners: %+v", n.ends[:n.nEnds])
	}
	for range maxEnds {
		q.Any = append(q.Any, web)
	}
	if n := newNarrow(&q); n.nEnds != 0 || n.ends != ([maxEnds]ends{}) {
		t.Errorf("no room: %+v", n.ends[:n.nEnds])
	}
	q.Listeners = false
	if n := newNarrow(&q); n.nEnds != maxEnds {
		t.Errorf("as many as there is room for: %d", n.nEnds)
	}
}
