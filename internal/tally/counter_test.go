package tally

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-44df2ae6/whose"
)

// TestCounter counts sessions with several owners: once for each that differs in
// what is counted by.
func TestCounter(t *testing.T) {
	nginx := func(pid uint32) whose.Owner { return whose.Owner{Process: &whose.Process{PID: pid, Comm: "nginx"}} }
	app := whose.Owner{Process: &whose.Process{PID: 5, Comm: "app"}}
	sessions := []whose.Session{
		{State: whose.Listen, Owners: []whose.Owner{nginx(1), nginx(2), app}},
		{State: whose.Established, Owners: []whose.Owner{nginx(2)}, Peer: []whose.Owner{app, nginx(1)}},
		{State: whose.TimeWait},
	}
	for _, test := range []struct {
		by   string
		want string
	}{
		{"state", "ESTABLISHED 1, LISTEN 1, TIME_WAIT 1"},
		{"comm", "nginx 2, app 1, - 1"},
		{"pid", "2 2, 1 1, 5 1, - 1"},
		{"comm,state", "app LISTEN 1, nginx ESTABLISHED 1, nginx LISTEN 1, - TIME_WAIT 1"},
		{"comm,peer_comm", "app - 1, nginx app 1, nginx nginx 1, nginx - 1, - - 1"},
	} {
		var fields []*whose.Field
		for name := range strings.SplitSeq(test.by, ",") {
			fields = append(fields, whose.FieldByName(name))
		}
		counter := NewCounter(fields)
		for i := range sessions {
			counter.Add(sessions[i].Row())
		}
		count := counter.Count(0)
		var rows []string
		for _, row := range count.Rows {
			var cells []string
			for _, v := range row.Values {
				cells = append(cells, cmpOr(string(v.Append(nil)), "-"))
			}
			rows = append(rows, fmt.Sprint(strings.Join(cells, " "), " ", row.Count))
		}
		if diff := cmp.Diff(test.want, strings.Join(rows, ", ")); diff != "" {
			t.Errorf("by %s (-want +got):\n%s", test.by, diff)
		}
		if count.Total != len(sessions) {
			t.Errorf("by %s: total %d, want %d", test.by, count.Total, len(sessions))
		}
	}
}

func cmpOr(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// TestCounter_NoAllocs counts a session of a known group without allocating.
func TestCounter_NoAllocs(t *testing.T) {
	s := whose.Session{State: whose.Established, Owners: []whose.Owner{
		{Process: &whose.Process{PID: 1, Comm: "a"}}, {Process: &whose.Process{PID: 2, Comm: "b"}},
	}}
	counter := NewCounter([]*whose.Field{whose.FieldByName("comm"), whose.FieldByName("state")})
	counter.Add(s.Row())
	if n := testing.AllocsPerRun(100, func() { counter.Add(s.Row()) }); n != 0 {
		t.Errorf("%v allocations a session, want 0", n)
	}
}

// TestCounter_Events counts events by what happened to sessions.
func TestCounter_Events(t *testing.T) {
	counter := NewCounter([]*whose.Field{whose.FieldByName("event"), whose.FieldByName("end")})
	for _, e := range []whose.Event{
		{Kind: whose.EventOpen}, {Kind: whose.EventClose, Lifetime: whose.Lifetime{End: whose.EndOrderly}}, {Kind: whose.EventOpen},
	} {
		counter.Add(e.Row())
	}
	var rows []string
	for _, row := range counter.Count(1).Rows {
		rows = append(rows, fmt.Sprintf("%s %s %d", row.Values[0].Text, row.Values[1].Text, row.Count))
	}
	if diff := cmp.Diff([]string{"open  2"}, rows); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestCounter_Differ: values that read the same side by side, or are of another
// form, are not the same group.
func TestCounter_Differ(t *testing.T) {
	owned := func(comm, exe string) whose.Session {
		return whose.Session{Owners: []whose.Owner{{Process: &whose.Process{Comm: comm, Exe: exe}}}}
	}
	from := func(addr string) whose.Session {
		return whose.Session{Remote: netip.AddrPortFrom(netip.MustParseAddr(addr), 1)}
	}
	for by, sessions := range map[string][]whose.Session{
		"comm,exe":    {owned("ab", "c"), owned("a", "bc"), owned("", "abc"), {}},
		"exe,inode":   {owned("", "1"), {Inode: 1}, {}},
		"remote_addr": {from("192.0.2.1"), from("::ffff:192.0.2.1"), from("fe80::1"), from("fe80::1%eth0"), {}},
		"start_time":  {{Owners: []whose.Owner{{Process: &whose.Process{StartTime: time.Unix(1, 0)}}}}, {}},
	} {
		var fields []*whose.Field
		for name := range strings.SplitSeq(by, ",") {
			fields = append(fields, whose.FieldByName(name))
		}
		counter := NewCounter(fields)
		for range 2 {
			for i := range sessions {
				counter.Add(sessions[i].Row())
			}
		}
		count := counter.Count(0)
		for _, row := range count.Rows {
			if len(count.Rows) != len(sessions) || row.Count != 2 {
				t.Errorf("by %s: %d groups, one of %d: %v, want %d of 2", by, len(count.Rows), row.Count, row.Values, len(sessions))
			}
		}
	}
}

// BenchmarkCounter counts 100,000 sessions, a tenth of which have two owners.
func BenchmarkCounter(b *testing.B) {
	procs := make([]*whose.Process, 1000)
	for i := range procs {
		procs[i] = &whose.Process{PID: uint32(100 + i), Comm: fmt.Sprintf("app%04d", i%300)}
	}
	sessions := make([]whose.Session, 100_000)
	for i := range sessions {
		remote := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		sessions[i] = whose.Session{
			Proto: whose.TCP, State: whose.Established, Remote: netip.AddrPortFrom(remote, 9999),
			Owners: []whose.Owner{{Process: procs[i%len(procs)]}},
		}
		if i%10 == 0 {
			sessions[i].Owners = append(sessions[i].Owners, whose.Owner{Process: procs[(i+1)%len(procs)]})
		}
	}
	for _, by := range []string{"comm,state", "state", "remote_addr"} {
		b.Run(by, func(b *testing.B) {
			var fields []*whose.Field
			for name := range strings.SplitSeq(by, ",") {
				fields = append(fields, whose.FieldByName(name))
			}
			b.ReportAllocs()
			for b.Loop() {
				c := NewCounter(fields)
				for i := range sessions {
					c.Add(sessions[i].Row())
				}
				c.Count(0)
			}
		})
	}
}
