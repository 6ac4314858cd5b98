package ledger

import (
	"iter"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/internal/pair"
	"github.com/seed-44df2ae6/whose/track/internal/bpfevent"
)

// TestBegin: what the records tell while the snapshot is taken, and what the
// snapshot has, is told once.
func TestBegin(t *testing.T) {
	curl, nginx := owner("curl", 7), owner("nginx", 5)
	queued := stood(4, whose.Established, nginx)
	queued.Direction, queued.Reason, queued.Inode = whose.In, whose.ReasonAcceptQueue, 0
	orphan := stood(9, whose.FinWait2)
	orphan.Inode = 0
	b := newBench(t, Want{})
	b.begin(
		[]whose.Session{
			stood(1, whose.Established, curl),  // stands
			stood(2, whose.Established, curl),  // opens meanwhile, and both tell it
			stood(3, whose.CloseWait, curl),    // closes meanwhile
			queued,                             // is accepted meanwhile
			stood(5, whose.SynSent, curl),      // connects meanwhile: nobody tells whose it is
			stood(6, whose.SynSent, curl),      // fails meanwhile
			stood(7, whose.Listen, nginx),      // stands
			stood(8, whose.TimeWait),           // has ended
			orphan,                             // may be no more than in TIME_WAIT
			stood(11, whose.Established, curl), // opens and closes meanwhile, and is told whole
		},
		record(tcpOpen, 1, 2, out, opened(1), by("curl", 7)),
		record(tcpClose, 2, 3, out, from(whose.LastAck)),
		record(tcpAccept, 3, 4, by("nginx", 5)),
		record(tcpOpen, 4, 5, out, opened(4)),
		record(tcpFail, 5, 6, out, opened(-100), failed(eTIMEDOUT)),
		record(tcpOpen, 6, 10, out, opened(6), by("curl", 7)), // opens and closes meanwhile
		record(tcpClose, 7, 10, out, opened(6), from(whose.LastAck)),
		record(tcpClose, 8, 9, out, from(whose.FinWait2)),
		record(tcpClose, 9, 11, out, opened(8), by("curl", 7), from(whose.LastAck)),
	)
	want := []string{
		"1 open out tcp 10.0.0.1:1002>10.0.0.2:80 curl/7",
		"2 close out tcp 10.0.0.1:1003>10.0.0.2:80 curl/7 orderly there 2ms since",
		"3 owned in tcp 10.0.0.1:1004>10.0.0.2:80 nginx/5 since",
		"4 open out tcp 10.0.0.1:1005>10.0.0.2:80 curl/7",
		"5 fail out tcp 10.0.0.1:1006>10.0.0.2:80 curl/7 timed-out errno=110 105ms",
		"6 open out tcp 10.0.0.1:1010>10.0.0.2:80 curl/7",
		"7 close out tcp 10.0.0.1:1010>10.0.0.2:80 curl/7 orderly there 1ms",
		"8 close out tcp 10.0.0.1:1009>10.0.0.2:80 raced orderly here 8ms since",
		"8 open out tcp 10.0.0.1:1011>10.0.0.2:80 curl/7",
		"9 close out tcp 10.0.0.1:1011>10.0.0.2:80 curl/7 orderly there 1ms",
		"standing out tcp 10.0.0.1:1001>10.0.0.2:80 curl/7",
		"standing out tcp 10.0.0.1:1003>10.0.0.2:80 curl/7",
		"standing in tcp 10.0.0.1:1004>10.0.0.2:80 nginx/5 accept-queue",
		"standing tcp 10.0.0.1:1007>0.0.0.0:0 nginx/5",
	}
	b.want(want...)
	if diff := cmp.Diff([]string{
		"out tcp 10.0.0.1:1001>10.0.0.2:80 curl/7",
		"in tcp 10.0.0.1:1004>10.0.0.2:80 nginx/5",
		"tcp 10.0.0.1:1007>0.0.0.0:0 nginx/5",
		"out tcp 10.0.0.1:1002>10.0.0.2:80 curl/7",
		"out tcp 10.0.0.1:1005>10.0.0.2:80 curl/7",
	}, b.sessions(nil), sorted); diff != "" {
		t.Errorf("live table:\n%s", diff)
	}
	b.apply(record(tcpUnlisten, 20, 7, bound("10.0.0.1:1007")), record(tcpClose, 21, 1, out, from(whose.FinWait2)))
	b.want(
		"20 unlisten tcp 10.0.0.1:1007>0.0.0.0:0 nginx/5 20ms since",
		"21 close out tcp 10.0.0.1:1001>10.0.0.2:80 curl/7 orderly here 21ms since",
	)
	if n := len(b.g.connecting); n != 0 {
		t.Errorf("%d owners of connects are still kept", n)
	}
}

// TestBegin_NoCookies: where the snapshot knows no cookies, records find its
// sessions by their ends.
func TestBegin_NoCookies(t *testing.T) {
	nameless := func(s whose.Session) whose.Session { s.Cookie = 0; return s }
	b := newBench(t, Want{})
	b.begin([]whose.Session{
		nameless(stood(1, whose.Established, owner("curl", 7))),
		nameless(stood(2, whose.Established, owner("curl", 7))),
	})
	b.apply(
		record(tcpOpen, 1, 1, out, opened(-1), by("curl", 7)),
		record(tcpClose, 5, 1, out, from(whose.LastAck)),
		record(tcpClose, 5, 1, out, from(whose.LastAck)),
	)
	b.want(
		"standing out tcp 10.0.0.1:1001>10.0.0.2:80 curl/7",
		"standing out tcp 10.0.0.1:1002>10.0.0.2:80 curl/7",
		"5 close out tcp 10.0.0.1:1001>10.0.0.2:80 curl/7 orderly there 5ms since",
	)
	if n := b.g.table.len(); n != 1 {
		t.Errorf("%d sessions in the table, want 1", n)
	}
}

// each gives sessions one by one, in the same memory.
func each(sessions []whose.Session) iter.Seq[*whose.Session] {
	return func(yield func(*whose.Session) bool) {
		var s whose.Session
		for _, s = range sessions {
			s.Owners = slices.Clone(s.Owners)
			ok := yield(&s)
			if clear(s.Owners); !ok {
				return
			}
		}
	}
}

// pass takes a later snapshot.
func (b *bench) pass(at int, alone bool, sessions ...whose.Session) (unsure bool) {
	return b.g.Reconcile(&Snapshot{
		Sessions: each(sessions), Began: uint64(began+at) * 1e6, Whole: true, Alone: alone,
	}, uint64(began+at)*1e6)
}

// TestReconcile_Owners: owners are corrected when two snapshots agree; a child
// that is about to execute a program is no owner.
func TestReconcile_Owners(t *testing.T) {
	parent, child, worker := owner("httpd", 7), owner("httpd", 8), owner("worker", 9)
	b := newBench(t, Want{})
	b.apply(record(tcpOpen, 1, 1, out, opened(1), by("httpd", 7)))
	b.want("1 open out tcp 10.0.0.1:1001>10.0.0.2:80 httpd/7")
	with := func(owners ...whose.Owner) whose.Session { return stood(1, whose.Established, owners...) }

	if b.pass(10, false, with(parent)) {
		t.Error("unsure of what agrees")
	}
	if !b.pass(20, false, with(parent, child)) {
		t.Error("sure of new owners at the first sight")
	}
	if b.pass(30, false, with(parent)) {
		t.Error("unsure of what agrees again")
	}
	b.want()
	b.pass(40, false, with(worker))
	b.pass(50, false, with(worker))
	b.want("50 owned out tcp 10.0.0.1:1001>10.0.0.2:80 worker/9")
	b.pass(60, false, with(parent, worker))
	b.pass(70, false, with(worker, parent))
	b.want("70 owned out tcp 10.0.0.1:1001>10.0.0.2:80 httpd/7,worker/9")
	hidden := with()
	hidden.Reason = whose.ReasonHidden
	b.pass(80, false, hidden)
	b.pass(90, false, hidden)
	b.apply(record(tcpClose, 100, 1, out, opened(1), from(whose.FinWait2), by("httpd", 7)))
	b.want("100 close out tcp 10.0.0.1:1001>10.0.0.2:80 httpd/7,worker/9 orderly here 99ms")
	b.g.sweep()
	if n := len(b.g.processes.multi); n != 0 {
		t.Errorf("%d sets of owners are kept that nobody refers to", n)
	}
}

// TestReconcile_Lost: what records failed to tell is found by two snapshots.
func TestReconcile_Lost(t *testing.T) {
	curl := owner("curl", 7)
	b := newBench(t, Want{})
	b.apply(record(tcpOpen, 1, 1, out, opened(1), by("curl", 7)))
	b.lines = nil
	two := stood(2, whose.Established, curl)
	b.pass(10, false, stood(1, whose.Established, curl), two) // the record of 2 may be under way
	b.want()
	b.pass(20, false, two) // so may that of the end of 1
	b.want("20 open out tcp 10.0.0.1:1002>10.0.0.2:80 curl/7")
	b.apply(record(tcpOpen, 24, 3, out, opened(24), by("curl", 7)))
	b.pass(24, false, two) // it need not have 3, which is newer
	b.want(
		"24 open out tcp 10.0.0.1:1003>10.0.0.2:80 curl/7",
		"24 close out tcp 10.0.0.1:1001>10.0.0.2:80 curl/7 23ms",
	)
	b.apply(record(tcpOpen, 2, 2, out, opened(2), by("curl", 7)))
	b.want()
	b.apply(record(tcpClose, 30, 2, out, opened(2), from(whose.FinWait2)))
	b.want("30 close out tcp 10.0.0.1:1002>10.0.0.2:80 curl/7 orderly here 10ms")
	b.pass(40, false, two) // it ended while the snapshot was taken
	b.want()
}

// TestReconcile_Patience: records may be slow, so what contradicts them has to
// last.
func TestReconcile_Patience(t *testing.T) {
	b := newBench(t, Want{})
	b.g.HealAfter = defaultHealAfter
	b.apply(
		record(tcpOpen, 1, 1, out, opened(1), by("curl", 7)),
		record(udpOpen, 1, 3, udp, out, opened(1), by("dig", 8)),
	)
	b.lines = nil
	two := stood(2, whose.Established, owner("curl", 7))
	for _, at := range []int{100, 1000, 2000, 5000} {
		b.pass(at, false, two)
		b.scan(at)
		b.want()
	}
	b.pass(5200, false, two)
	b.scan(5200)
	b.want(
		"5200 open out tcp 10.0.0.1:1002>10.0.0.2:80 curl/7",
		"5200 close out tcp 10.0.0.1:1001>10.0.0.2:80 curl/7 5.199s",
		"5200 close out udp 10.0.0.1:1003>10.0.0.2:80 dig/8 5.199s",
	)
}

// TestReconcile_OutOfSight: what no snapshot reaches has not ended.
func TestReconcile_OutOfSight(t *testing.T) {
	b := newBench(t, Want{})
	b.apply(
		record(tcpOpen, 1, 1, out, opened(1), by("curl", 7), func(r *bpfevent.Record) { r.NetNS = 77 }),
		record(udpOpen, 1, 2, udp, out, opened(1), by("dig", 7)),
	)
	b.lines = nil
	for i := range 4 {
		b.pass(10+i, false, stood(3, whose.Listen, owner("sshd", 2)))
	}
	b.want("11 listen tcp 10.0.0.1:1003>0.0.0.0:0 sshd/2")
	b.g.Reconcile(&Snapshot{Sessions: each(nil), Began: (began + 99) * 1e6, Whole: false}, (began+99)*1e6)
	b.g.Reconcile(&Snapshot{Sessions: each(nil), Began: (began + 99) * 1e6, Whole: false}, (began+99)*1e6)
	b.want()
}

// TestReconcile_GoneNamespace: of a socket in a namespace that is gone nobody reports
// the end, and no snapshot ever had it.
func TestReconcile_GoneNamespace(t *testing.T) {
	b := newBench(t, Want{})
	b.apply(record(tcpOpen, 1, 1, out, opened(1), by("curl", 7)))
	for _, at := range []int{10_000, 20_000} {
		b.g.Reconcile(&Snapshot{Sessions: each(nil), Began: uint64(began+at) * 1e6, Whole: true}, uint64(began+at)*1e6)
	}
	if n := b.g.table.len(); n != 1 {
		t.Fatalf("%d sessions after snapshots that could not see it, want 1", n)
	}
	for _, at := range []int{30_000, 40_000} {
		b.g.Reconcile(&Snapshot{Sessions: each(nil), Began: uint64(began+at) * 1e6, Whole: true, Everywhere: true}, uint64(began+at)*1e6)
	}
	if n := b.g.table.len(); n != 0 {
		t.Errorf("%d sessions after snapshots that saw everything, want none", n)
	}
}

// TestReconcile_Learns: an orphan has lost its inode, and a snapshot knows the options
// that a socket got after its record. A session shows nothing of the one before it.
func TestReconcile_Learns(t *testing.T) {
	b := newBench(t, Want{})
	b.apply(record(tcpOpen, 1, 1, out, opened(1), by("curl", 7)))
	orphan := stood(1, whose.FinWait1)
	orphan.Inode, orphan.Reason, orphan.UID, orphan.Mark = 0, whose.ReasonOrphan, 65534, 43
	for _, at := range []int{10_000, 20_000} {
		b.pass(at, false, orphan)
	}
	s := whose.Session{Exposure: whose.ExposureAny}
	for e := range b.g.table.slab(0) {
		b.g.table.slab(0)[e].write(&s)
	}
	if s.Inode != 0 || s.UID != 65534 || s.Mark != 43 || s.State != whose.FinWait1 || s.Exposure != 0 {
		t.Errorf("inode %d, uid %d, mark %d, state %v, exposure %v", s.Inode, s.UID, s.Mark, s.State, s.Exposure)
	}
}

// TestReconcile_Alone: where snapshots alone tell, their differences are the
// events.
func TestReconcile_Alone(t *testing.T) {
	curl, named := owner("curl", 7), owner("named", 3)
	dns := stood(4, whose.Unconn, named)
	dns.Proto = whose.UDP
	flow := stood(5, whose.Established, curl)
	flow.Proto = whose.UDP
	early := stood(6, whose.Established)
	early.Direction, early.Inode = whose.In, 0
	b := newBench(t, Want{})
	b.begin([]whose.Session{stood(1, whose.Established, curl)})
	b.pass(10, true, stood(2, whose.Established, curl), stood(3, whose.Listen, named), dns, flow, early)
	b.want(
		"standing out tcp 10.0.0.1:1001>10.0.0.2:80 curl/7",
		"10 open out tcp 10.0.0.1:1002>10.0.0.2:80 curl/7",
		"10 listen tcp 10.0.0.1:1003>0.0.0.0:0 named/3",
		"10 bind udp 10.0.0.1:1004>0.0.0.0:0 named/3",
		"10 open out udp 10.0.0.1:1005>10.0.0.2:80 curl/7",
		"10 open in tcp 10.0.0.1:1006>10.0.0.2:80 unheld",
		"10 close out tcp 10.0.0.1:1001>10.0.0.2:80 curl/7 10ms since",
	)
	early.Owners, early.Reason = []whose.Owner{named}, whose.ReasonNone
	b.pass(20, true, early, flow)
	b.want(
		"20 owned in tcp 10.0.0.1:1006>10.0.0.2:80 named/3",
		"20 close out tcp 10.0.0.1:1002>10.0.0.2:80 curl/7 10ms",
		"20 unlisten tcp 10.0.0.1:1003>0.0.0.0:0 named/3 10ms",
	)
	// The kernel tells of closed sockets in between, without their state.
	b.apply(record(tcpClose, 25, 6, bytesOf(5, 6)))
	b.want("25 close in tcp 10.0.0.1:1006>10.0.0.2:80 named/3 15ms 5/0 6/0")
	b.pass(30, true, early, flow)
	b.want()
}

// TestReconcile_NoCookiesReplaced: the same ends are another session when the
// inode is another.
func TestReconcile_NoCookiesReplaced(t *testing.T) {
	s := stood(1, whose.Established, owner("curl", 7))
	s.Cookie = 0
	b := newBench(t, Want{})
	b.begin([]whose.Session{s})
	b.pass(10, true, s)
	s.Inode++
	b.pass(20, true, s)
	b.want(
		"standing out tcp 10.0.0.1:1001>10.0.0.2:80 curl/7",
		"20 close out tcp 10.0.0.1:1001>10.0.0.2:80 curl/7 20ms since",
		"20 open out tcp 10.0.0.1:1001>10.0.0.2:80 curl/7",
	)
}

// TestReconcile_Filter: a session that begins to meet the filter with its new
// owner is told then.
func TestReconcile_Filter(t *testing.T) {
	b := newBench(t, Want{Match: filter.Compile(expr(t, "process worker"), filter.Env{})})
	b.apply(record(tcpOpen, 1, 1, out, opened(1), by("httpd", 7)))
	for i := range 3 {
		b.pass(10*i+10, false, stood(1, whose.Established, owner("worker", 9)), stood(2, whose.Established, owner("other", 9)))
	}
	b.want("20 owned out tcp 10.0.0.1:1001>10.0.0.2:80 worker/9")
	if n := b.g.Ask(nil, filter.Env{}, 0).Count(); n != 1 {
		t.Errorf("%d sessions, want 1", n)
	}
}

// TestBegin_Hindsight: a session that closes or is accepted between the two looks
// of the first snapshot, at sockets and at descriptors, has no owner there, and
// may lack its listener. The records of the time know better.
func TestBegin_Hindsight(t *testing.T) {
	without := func(cookie uint64, r whose.Reason) whose.Session {
		s := stood(cookie, whose.Established)
		s.Reason = r
		return s
	}
	accepted := func(r *bpfevent.Record) { r.Origin = pair.Accepted }
	b := newBench(t, Want{})
	b.begin(
		[]whose.Session{
			without(1, whose.ReasonHidden), without(2, whose.ReasonHidden), without(3, whose.ReasonUnheld),
			without(4, whose.ReasonHidden), without(5, whose.ReasonHidden),
		},
		record(tcpClose, 1, 1, accepted, from(whose.LastAck)),
		record(tcpClose, 2, 2, accepted, by("nginx", 5), from(whose.LastAck)),
		record(tcpAccept, 3, 3, accepted, by("nginx", 5)),
		record(tcpClose, 4, 4, to("10.0.0.9:99"), accepted, from(whose.LastAck)), // of another connection of the socket
	)
	b.want(
		"1 close in tcp 10.0.0.1:1001>10.0.0.2:80 raced orderly there 1ms since",
		"2 close in tcp 10.0.0.1:1002>10.0.0.2:80 nginx/5 orderly there 2ms since",
		"4 close in tcp 10.0.0.1:1004>10.0.0.9:99 raced orderly there 4ms since",
		"standing in tcp 10.0.0.1:1001>10.0.0.2:80 raced",
		"standing in tcp 10.0.0.1:1002>10.0.0.2:80 nginx/5",
		"standing in tcp 10.0.0.1:1003>10.0.0.2:80 nginx/5",
		"standing out tcp 10.0.0.1:1004>10.0.0.2:80 hidden",
		"standing out tcp 10.0.0.1:1005>10.0.0.2:80 hidden",
	)
}
