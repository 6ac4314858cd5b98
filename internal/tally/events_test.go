package tally

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

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

// TestEvents_Past: of the past only sessions that came and went have known bytes.
// Those of others are unknown, and counted as such.
func TestEvents_Past(t *testing.T) {
	c := NewEvents(5)
	c.Past = true
	owners := []whose.Owner{{Process: &whose.Process{Comm: "app"}}}
	session := func(cookie uint64) whose.Session {
		return whose.Session{Proto: whose.TCP, Cookie: cookie, Remote: netip.MustParseAddrPort("10.1.1.1:80"), Owners: owners}
	}
	closed := func(cookie, bytes uint64) *whose.Event {
		e := &whose.Event{Kind: whose.EventClose, Session: session(cookie)}
		e.Counted, e.Sent.Bytes = true, bytes
		return e
	}
	c.Stood(&whose.Event{Kind: whose.EventStanding, Session: session(1)})
	c.Stood(&whose.Event{Kind: whose.EventStanding, Session: session(2)})
	for cookie := uint64(3); cookie < 5; cookie++ {
		c.Add(&whose.Event{Kind: whose.EventOpen, Session: session(cookie)})
	}
	c.Add(closed(1, 1000)) // from before
	c.Add(closed(3, 70))   // came and went
	for _, cookie := range []uint64{2, 4} {
		s := session(cookie) // stands at the end; what it will have sent is no news of now
		s.Life = &whose.Lifetime{Counted: true, Sent: whose.Traffic{Bytes: 5000}}
		c.Measured(&s, time.Time{})
	}
	got := c.Summary()
	want := Traffic{Out: 2, Stood: 1, Sent: 70, Uncounted: 3}
	if got.Processes[0].Sum != want || got.Uncounted != 3 || len(got.Busiest) != 1 {
		t.Errorf("%+v, %d uncounted, busiest %+v; want %+v, 3 and one", got.Processes[0].Sum, got.Uncounted, got.Busiest, want)
	}
}

// TestEvents_ClosedSince: a session that was measured and then closes counts once, by
// its close. A flow that closed before, and began anew, counts twice.
func TestEvents_ClosedSince(t *testing.T) {
	c := NewEvents(5)
	began := time.Unix(1000, 0)
	s := whose.Session{Proto: whose.TCP, Cookie: 7, Remote: netip.MustParseAddrPort("10.1.1.1:80")}
	f := whose.Session{Proto: whose.UDP, Cookie: 8, Remote: netip.MustParseAddrPort("10.1.1.1:53")}
	for _, session := range []whose.Session{s, f} {
		session.Life = &whose.Lifetime{Counted: true, Sent: whose.Traffic{Bytes: 5}}
		c.Measured(&session, began)
	}
	for _, e := range []whose.Event{
		{Kind: whose.EventClose, Session: s, Time: began.Add(time.Second)},
		{Kind: whose.EventClose, Session: f, Time: began.Add(-time.Second)},
	} {
		e.Counted, e.Sent.Bytes = true, 6
		c.Add(&e)
	}
	if got := c.Summary().Processes[0].Sum.Sent; got != 6+6+5 {
		t.Errorf("%d bytes sent, want %d", got, 6+6+5)
	}
}
