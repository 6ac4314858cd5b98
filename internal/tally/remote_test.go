package tally

import (
	"net/netip"
	"testing"

	"github.com/seed-44df2ae6/whose"
)

// A listener talks to nobody: it does not count as a talk with 0.0.0.0.
func TestCounter_NoRemote(t *testing.T) {
	sessions := []whose.Session{
		{Local: netip.MustParseAddrPort("0.0.0.0:443"), Remote: netip.MustParseAddrPort("0.0.0.0:0"), State: whose.Listen},
		{Local: netip.MustParseAddrPort("[::]:443"), Remote: netip.MustParseAddrPort("[::]:0"), State: whose.Listen},
		{Local: netip.MustParseAddrPort("0.0.0.0:53"), State: whose.Unconn},
		{Local: netip.MustParseAddrPort("10.0.0.1:443"), Remote: netip.MustParseAddrPort("10.0.0.2:5000"), State: whose.Established},
	}
	for field, want := range map[string]string{"remote_addr": "10.0.0.2", "remote_port": "5000"} {
		c := NewCounter([]*whose.Field{whose.FieldByName(field)})
		for i := range sessions {
			c.Add(sessions[i].Row())
		}
		count := c.Count(0)
		if len(count.Rows) != 2 || count.Rows[0].Count != 3 || !count.Rows[0].Values[0].IsZero() ||
			string(count.Rows[1].Values[0].Append(nil)) != want || count.Rows[1].Count != 1 {
			t.Errorf("by %s: %+v, want 3 without a value and 1 of %s", field, count.Rows, want)
		}
	}
}
