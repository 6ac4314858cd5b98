package ledger

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/track/internal/bpfevent"
)

func onDevice(index uint32) rec { return func(r *bpfevent.Record) { r.Device = index } }
func family(f whose.Family) rec { return func(r *bpfevent.Record) { r.Family = uint8(f) } }
func mptcp(r *bpfevent.Record)  { r.Proto = uint8(whose.MPTCP) }

// TestQueue_NamesTheGroup: a connection that nobody accepted names the owners
// of all listeners that it may wait for, and of no other.
func TestQueue_NamesTheGroup(t *testing.T) {
	listens := func(cookie uint64, local, comm string, pid uint32, more ...rec) bpfevent.Record {
		return record(tcpListen, 1, cookie, append([]rec{bound(local), by(comm, pid)}, more...)...)
	}
	for _, c := range []struct {
		rule      string
		listeners []bpfevent.Record
		more      []rec
		want      string
	}{
		{"a group, by PID, each once", []bpfevent.Record{
			listens(10, "10.0.0.1:1001", "c", 9), listens(11, "10.0.0.1:1001", "a", 4), listens(12, "10.0.0.1:1001", "b", 5), listens(13, "10.0.0.1:1001", "a", 4),
		}, nil, "a/4,b/5,c/9 accept-queue"},
		{"just the address before all", []bpfevent.Record{
			listens(10, "0.0.0.0:1001", "all", 4), listens(11, "10.0.0.1:1001", "one", 5),
		}, nil, "one/5 accept-queue"},
		{"the device, of which nobody knows the name", []bpfevent.Record{
			listens(10, "10.0.0.1:1001", "any", 4), listens(11, "10.0.0.1:1001", "eth", 5, onDevice(7)), listens(12, "10.0.0.1:1001", "other", 6, onDevice(8)),
		}, []rec{onDevice(7)}, "eth/5 accept-queue"},
		{"the family", []bpfevent.Record{
			listens(10, "[::]:1001", "six", 4, family(whose.IPv6)), listens(11, "0.0.0.0:1001", "four", 5),
		}, nil, "four/5 accept-queue"},
		{"none", nil, nil, "accept-queue"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			b := newBench(t, Want{})
			b.apply(c.listeners...)
			b.lines = nil
			b.apply(record(tcpOpen, 10, 1, append([]rec{opened(10)}, c.more...)...))
			b.g.Expire((began + 1010) * 1e6)
			b.want("10 open in tcp 10.0.0.1:1001>10.0.0.2:80 " + c.want)
			if got := b.sessions(expr(t, "comm one")); c.rule == "just the address before all" && len(got) != 2 {
				t.Errorf("sessions of one: %q, want its listener and what waits for it", got)
			}
		})
	}
}

// TestMPTCP_SharesItsListenersCookie: the kernel copies the cookie of an MPTCP
// listener into what it accepts.
func TestMPTCP_SharesItsListenersCookie(t *testing.T) {
	b := newBench(t, Want{})
	b.apply(
		record(tcpListen, 1, 3, mptcp, bound("10.0.0.1:1001"), by("nginx", 5)),
		record(tcpOpen, 2, 3, mptcp, opened(2), at("10.0.0.1:1001"), to("0.0.0.0:0")), // its ends are not known yet
		record(tcpOpen, 3, 3, mptcp, opened(3), at("10.0.0.1:1001"), to("10.0.0.2:80"), by("nginx", 5)),
		record(tcpOpen, 4, 3, mptcp, opened(4), at("10.0.0.1:1001"), to("10.0.0.2:81"), by("nginx", 5)),
		record(tcpClose, 5, 3, mptcp, opened(3), at("10.0.0.1:1001"), to("10.0.0.2:80"), from(whose.LastAck)),
	)
	b.want(
		"1 listen mptcp 10.0.0.1:1001>0.0.0.0:0 nginx/5",
		"3 open in mptcp 10.0.0.1:1001>10.0.0.2:80 nginx/5",
		"4 open in mptcp 10.0.0.1:1001>10.0.0.2:81 nginx/5",
		"5 close in mptcp 10.0.0.1:1001>10.0.0.2:80 nginx/5 orderly there 2ms",
	)
	if diff := cmp.Diff([]string{"mptcp 10.0.0.1:1001>0.0.0.0:0 nginx/5", "in mptcp 10.0.0.1:1001>10.0.0.2:81 nginx/5"}, b.sessions(nil), sorted); diff != "" {
		t.Errorf("live table (-want +got):\n%s", diff)
	}
}

// TestReconcile_Disowned: a session that two snapshots show without an owner,
// and with a reason that leaves no doubt, has none any more.
func TestReconcile_Disowned(t *testing.T) {
	for _, c := range []struct {
		reason whose.Reason
		want   []string
	}{
		{whose.ReasonOrphan, []string{"40 owned out tcp 10.0.0.1:1001>10.0.0.2:80 orphan"}},
		{whose.ReasonInFlight, []string{"40 owned out tcp 10.0.0.1:1001>10.0.0.2:80 in-flight"}},
		{whose.ReasonKernel, []string{"40 owned out tcp 10.0.0.1:1001>10.0.0.2:80 kernel"}},
		{whose.ReasonUnheld, []string{"40 owned out tcp 10.0.0.1:1001>10.0.0.2:80 unheld"}},
		{whose.ReasonHidden, nil}, // the one who opened it may be who is hidden
		{whose.ReasonRaced, nil},
	} {
		t.Run(c.reason.String(), func(t *testing.T) {
			b := newBench(t, Want{Match: filter.Compile(expr(t, "comm curl"), filter.Env{}), Needs: whose.NeedOwners})
			b.apply(record(tcpOpen, 10, 1, out, opened(10), by("curl", 7)))
			b.lines = nil
			s := stood(1, whose.Established)
			s.Reason = c.reason
			b.pass(20, false, s)
			b.want()
			b.pass(40, false, s)
			b.want(c.want...)
			b.apply(record(tcpClose, 50, 1, out, opened(10), by("curl", 7), from(whose.FinWait2)))
			b.want("50 close out tcp 10.0.0.1:1001>10.0.0.2:80 curl/7 orderly here 40ms")
		})
	}
}
