package tally

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/seed-44df2ae6/whose"
)

// TestEvents_Bounded: the memory of a summary is bounded, and says so.
func TestEvents_Bounded(t *testing.T) {
	c := NewEvents(5)
	e := whose.Event{Session: whose.Session{Proto: whose.TCP}}
	const more = 100
	for i := range maxEventGroups + more {
		e.Kind = whose.EventFail
		e.Session.Owners = []whose.Owner{{Process: &whose.Process{Comm: fmt.Sprint("p", i)}}}
		e.Session.Remote = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 80)
		c.Add(&e)
	}
	got := c.Summary()
	if len(got.Processes) != 5 || got.MoreProcesses != maxEventGroups-5 || got.MoreRemotes != maxEventGroups-5 ||
		got.MoreFailures != maxEventGroups-5 || got.Beyond != more || got.Counts[whose.EventFail] != maxEventGroups+more {
		t.Errorf("%d processes and %d more, %d remotes more, %d failures more, %d beyond",
			len(got.Processes), got.MoreProcesses, got.MoreRemotes, got.MoreFailures, got.Beyond)
	}
}
