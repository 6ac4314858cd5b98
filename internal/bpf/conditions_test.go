package bpf

import (
	"net/netip"
	"testing"

	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// TestConditions_AddUnconnected shows that what listens meets the conditions on the
// ends of others too, and that without room for it there are none.
func TestConditions_AddUnconnected(t *testing.T) {
	web := filter.OnLocal(netip.MustParsePrefix("10.0.0.0/8"), filter.PortRange{First: 443, Last: 443}).Swapped()
	q := source.Query{Any: []filter.Endpoints{web}}
	if c := NewConditions(&q); c.nEnds != 1 || c.ends[0].rportFirst != 443 || c.ends[0].remoteMask[12] != 0xff {
		t.Errorf("one condition: %+v", c.ends[:c.nEnds])
	}
	with := func() Conditions {
		c := NewConditions(&q)
		c.AddUnconnected()
		return c
	}
	if c := with(); c.nEnds != 2 || c.ends[1] != (endsCondition{lportLast: 0xffff}) {
		t.Errorf("with listeners: %+v", c.ends[:c.nEnds])
	}
	q.Any = nil
	if c := with(); c.nEnds != 0 {
		t.Errorf("no condition but listeners: %+v", c.ends[:c.nEnds])
	}
	for range maxEnds {
		q.Any = append(q.Any, web)
	}
	if c := with(); c.nEnds != 0 || c.ends != ([maxEnds]endsCondition{}) {
		t.Errorf("no room: %+v", c.ends[:c.nEnds])
	}
	if c := NewConditions(&q); c.nEnds != maxEnds {
		t.Errorf("as many as there is room for: %d", c.nEnds)
	}
	q.Any = append(q.Any, web)
	if c := NewConditions(&q); c.nEnds != 0 {
		t.Errorf("more than there is room for: %d", c.nEnds)
	}
}

// TestNewEndsCondition compares the masks with what the condition itself says.
func TestNewEndsCondition(t *testing.T) {
	within := func(a, want, mask [16]byte) bool {
		for i := range a {
			if (a[i]^want[i])&mask[i] != 0 {
				return false
			}
		}
		return true
	}
	addrs := []string{"10.0.0.1", "10.1.2.3", "192.168.1.1", "0.0.0.0", "::", "::1", "fe80::1", "2001:db8::5"}
	for _, p := range []string{"10.0.0.0/8", "10.0.0.1/32", "0.0.0.0/0", "::/0", "::1/128", "fe80::/10", "2001:db8::/33"} {
		prefix := netip.MustParsePrefix(p)
		to := filter.OnLocal(prefix, filter.AnyPort).Swapped()
		e := newEndsCondition(&to)
		for _, s := range addrs {
			a := netip.MustParseAddr(s)
			got := within(a.As16(), e.remote, e.remoteMask)
			want := prefix.Contains(a)
			if got != want && !(got && p == "::/0") { // mapped addresses come along: never too little
				t.Errorf("%s in %s: %v, want %v", s, p, got, want)
			}
			if !within(a.As16(), e.local, e.localMask) {
				t.Errorf("%s does not meet no condition", s)
			}
		}
	}
	from := filter.OnLocal(netip.Prefix{}, filter.PortRange{First: 80, Last: 90})
	e := newEndsCondition(&from)
	if e.lportFirst != 80 || e.lportLast != 90 || e.rportFirst != 0 || e.rportLast != 0xffff {
		t.Errorf("ports %+v", e)
	}
}
