package ledger

import (
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/internal/pair"
	"github.com/seed-44df2ae6/whose/internal/source"
	"github.com/seed-44df2ae6/whose/track/internal/bpfevent"
)

const (
	tcpOpen     = bpfevent.TCPOpen
	tcpAccept   = bpfevent.TCPAccept
	tcpClose    = bpfevent.TCPClose
	tcpFail     = bpfevent.TCPFail
	tcpListen   = bpfevent.TCPListen
	tcpUnlisten = bpfevent.TCPUnlisten
)

func TestTCP_OutgoingOpensAndCloses(t *testing.T) {
	b := newBench(t, Want{})
	b.apply(record(tcpOpen, 10, 1, out, opened(10), by("curl", 7)))
	if got := b.sessions(nil); len(got) != 1 {
		t.Errorf("live table %q, want one session", got)
	}
	b.apply(record(tcpClose, 35, 1, out, opened(10), by("other", 9), from(whose.FinWait2), bytesOf(100, 2000)))
	b.want(
		"10 open out tcp 10.0.0.1:1001>10.0.0.2:80 curl/7",
		"35 close out tcp 10.0.0.1:1001>10.0.0.2:80 curl/7 orderly here 25ms 100/0 2000/0",
	)
	if got := b.sessions(nil); len(got) != 0 {
		t.Errorf("live table %q, want none", got)
	}
}

func TestTCP_IncomingWaitsForItsProcess(t *testing.T) {
	b := newBench(t, Want{})
	b.apply(record(tcpOpen, 10, 1, opened(10)))
	b.want()
	b.apply(record(tcpAccept, 12, 1, opened(10), by("nginx", 5)))
	b.want("10 open in tcp 10.0.0.1:1001>10.0.0.2:80 nginx/5")
	b.apply(record(tcpClose, 20, 1, opened(10), from(whose.LastAck)))
	b.want("20 close in tcp 10.0.0.1:1001>10.0.0.2:80 nginx/5 orderly there 10ms")
}

func TestTCP_IncomingThatNobodyAccepts(t *testing.T) {
	b := newBench(t, Want{})
	b.apply(
		record(tcpListen, 1, 3, bound("0.0.0.0:1001"), by("slow", 4)),
		record(tcpOpen, 10, 1, opened(10)),
	)
	b.want("1 listen tcp 0.0.0.0:1001>0.0.0.0:0 slow/4")
	if next := b.g.Expire((began + 500) * 1e6); next != (began+1010)*1e6 {
		t.Errorf("due at %d, want a second after it came", next)
	}
	b.want()
	b.g.Expire((began + 1010) * 1e6)
	b.want("10 open in tcp 10.0.0.1:1001>10.0.0.2:80 slow/4 accept-queue")
	b.apply(record(tcpAccept, 1500, 1, opened(10), by("slow", 4)))
	b.want("1500 owned in tcp 10.0.0.1:1001>10.0.0.2:80 slow/4")
	b.apply(record(tcpAccept, 1501, 1, opened(10), by("slow", 4)))
	b.want()
}

func TestTCP_EndsBeforeItIsAccepted(t *testing.T) {
	reset := record(tcpClose, 11, 1, opened(10), from(whose.Established), failed(eCONNRESET))
	opened10 := record(tcpOpen, 10, 1, opened(10))
	t.Run("accepted after", func(t *testing.T) {
		b := newBench(t, Want{})
		b.apply(opened10, reset)
		if got := b.sessions(nil); len(got) != 0 {
			t.Errorf("live table %q, want none", got)
		}
		b.want()
		b.apply(record(tcpAccept, 12, 1, opened(10), by("nginx", 5)))
		b.want(
			"10 open in tcp 10.0.0.1:1001>10.0.0.2:80 nginx/5",
			"11 close in tcp 10.0.0.1:1001>10.0.0.2:80 nginx/5 reset there 1ms",
		)
	})
	t.Run("never", func(t *testing.T) {
		b := newBench(t, Want{})
		b.apply(opened10, reset)
		b.g.Expire(^uint64(0))
		b.want(
			"10 open in tcp 10.0.0.1:1001>10.0.0.2:80 accept-queue",
			"11 close in tcp 10.0.0.1:1001>10.0.0.2:80 accept-queue reset there 1ms",
		)
	})
	t.Run("by the record of its end", func(t *testing.T) {
		b := newBench(t, Want{})
		b.apply(opened10, record(tcpClose, 11, 1, opened(10), from(whose.LastAck), wasAccepted, by("nginx", 5)))
		b.want(
			"10 open in tcp 10.0.0.1:1001>10.0.0.2:80 nginx/5",
			"11 close in tcp 10.0.0.1:1001>10.0.0.2:80 nginx/5 orderly there 1ms",
		)
	})
	if b := newBench(t, Want{}); b.g.processes.sets != nil {
		b.apply(opened10, reset, reset, opened10)
		b.g.Expire(^uint64(0))
		if len(b.lines) != 2 {
			t.Errorf("told twice: %q", b.lines)
		}
	}
}

// TestTCP_Duplicates tells everything twice, in the orders in which two copies
// of a program may.
func TestTCP_Duplicates(t *testing.T) {
	open, end := record(tcpOpen, 10, 1, out, opened(10), by("curl", 7)), record(tcpClose, 35, 1, out, opened(10), from(whose.FinWait2))
	want1 := []string{
		"10 open out tcp 10.0.0.1:1001>10.0.0.2:80 curl/7",
		"35 close out tcp 10.0.0.1:1001>10.0.0.2:80 curl/7 orderly here 25ms",
	}
	for _, order := range [][]bpfevent.Record{
		{open, open, end, end}, {open, end, open, end}, {open, end, end, open},
	} {
		b := newBench(t, Want{})
		b.apply(order...)
		b.want(want1...)
	}
	b := newBench(t, Want{})
	b.apply(record(tcpFail, 5, 1, out, opened(4), failed(eCONNREFUSED), by("nc", 3)), record(tcpFail, 5, 1, out, opened(4), failed(eCONNREFUSED), by("nc", 3)))
	b.want("5 fail out tcp 10.0.0.1:1001>10.0.0.2:80 nc/3 refused errno=111 1ms")
	b.apply(record(tcpListen, 6, 2, bound("0.0.0.0:22"), by("sshd", 3)), record(tcpListen, 6, 2, bound("0.0.0.0:22"), by("sshd", 3)))
	b.apply(record(tcpUnlisten, 7, 2, bound("0.0.0.0:22")), record(tcpUnlisten, 7, 2, bound("0.0.0.0:22")))
	b.want("6 listen tcp 0.0.0.0:22>0.0.0.0:0 sshd/3", "7 unlisten tcp 0.0.0.0:22>0.0.0.0:0 sshd/3 1ms")
	b.apply(record(tcpListen, 8, 2, bound("0.0.0.0:22"), by("sshd", 3)), record(tcpUnlisten, 9, 2, bound("0.0.0.0:22")))
	b.want("8 listen tcp 0.0.0.0:22>0.0.0.0:0 sshd/3", "9 unlisten tcp 0.0.0.0:22>0.0.0.0:0 sshd/3 1ms")
}

// TestTCP_SocketIsUsedAgain: the cookie is the socket's, which may connect
// after it failed to, or after it was disconnected.
func TestTCP_SocketIsUsedAgain(t *testing.T) {
	b := newBench(t, Want{})
	b.apply(
		record(tcpFail, 5, 1, out, opened(4), failed(eCONNREFUSED), by("nc", 3)),
		record(tcpFail, 7, 1, out, opened(6), failed(eCONNREFUSED), by("nc", 3)),
		record(tcpOpen, 9, 1, out, opened(9), by("nc", 3)),
		record(tcpClose, 10, 1, out, opened(9), from(whose.LastAck)),
		record(tcpOpen, 11, 1, out, opened(11), by("nc", 3), to("10.0.0.3:80")),
		record(tcpOpen, 13, 1, out, opened(13), by("nc", 3), to("10.0.0.4:80")), // its close was lost
		record(tcpClose, 14, 1, out, opened(13), to("10.0.0.4:80"), from(whose.LastAck)),
	)
	b.want(
		"5 fail out tcp 10.0.0.1:1001>10.0.0.2:80 nc/3 refused errno=111 1ms",
		"7 fail out tcp 10.0.0.1:1001>10.0.0.2:80 nc/3 refused errno=111 1ms",
		"9 open out tcp 10.0.0.1:1001>10.0.0.2:80 nc/3",
		"10 close out tcp 10.0.0.1:1001>10.0.0.2:80 nc/3 orderly there 1ms",
		"11 open out tcp 10.0.0.1:1001>10.0.0.3:80 nc/3",
		"13 close out tcp 10.0.0.1:1001>10.0.0.3:80 nc/3 2ms",
		"13 open out tcp 10.0.0.1:1001>10.0.0.4:80 nc/3",
		"14 close out tcp 10.0.0.1:1001>10.0.0.4:80 nc/3 orderly there 1ms",
	)
}

// TestTCP_OnlyItsEndIsTold: a record may stand for the whole of a short
// session, or the record of the opening was lost.
func TestTCP_OnlyItsEndIsTold(t *testing.T) {
	b := newBench(t, Want{})
	b.apply(record(tcpClose, 35, 1, out, opened(34), by("curl", 7), from(whose.FinWait2)))
	b.want(
		"34 open out tcp 10.0.0.1:1001>10.0.0.2:80 curl/7",
		"35 close out tcp 10.0.0.1:1001>10.0.0.2:80 curl/7 orderly here 1ms",
	)
	b.apply(record(tcpClose, 36, 2, from(whose.FinWait2)), record(tcpClose, 36, 2, from(whose.FinWait2)))
	b.want("36 close out tcp 10.0.0.1:1002>10.0.0.2:80 raced orderly here 36ms since")
	b.apply(record(tcpListen, 36, 9, bound("0.0.0.0:1005"), by("sshd", 2)), record(tcpClose, 36, 5, from(whose.LastAck)))
	b.want(
		"36 listen tcp 0.0.0.0:1005>0.0.0.0:0 sshd/2",
		"36 close in tcp 10.0.0.1:1005>10.0.0.2:80 raced orderly there 36ms since",
	)
	b.apply(record(tcpClose, 37, 3, opened(-5), out, from(whose.FinWait2)))
	b.want("37 close out tcp 10.0.0.1:1003>10.0.0.2:80 raced orderly here 37ms since")
	b.apply(record(tcpAccept, 38, 4, opened(38), by("nginx", 5)))
	b.want("38 open in tcp 10.0.0.1:1004>10.0.0.2:80 nginx/5")
}

// TestTCP_SideOfAnEnd: the socket of a session that stood before says which side
// it was, whoever listens; a listener decides only where it does not.
func TestTCP_SideOfAnEnd(t *testing.T) {
	b := newBench(t, Want{})
	accepted := func(r *bpfevent.Record) { r.Origin = pair.Accepted }
	b.begin([]whose.Session{stood(9, whose.Listen, owner("sshd", 2))})
	b.want("standing tcp 10.0.0.1:1009>0.0.0.0:0 sshd/2")
	here := at("10.0.0.1:1009")
	b.apply(record(tcpClose, 1, 1, here, out), record(tcpClose, 2, 2, here), record(tcpClose, 3, 3, accepted), record(tcpClose, 4, 4))
	b.want(
		"1 close out tcp 10.0.0.1:1009>10.0.0.2:80 raced 1ms since",
		"2 close in tcp 10.0.0.1:1009>10.0.0.2:80 raced 2ms since",
		"3 close in tcp 10.0.0.1:1003>10.0.0.2:80 raced 3ms since",
		"4 close out tcp 10.0.0.1:1004>10.0.0.2:80 raced 4ms since",
	)
}

// TestTCP_FailedAfterItWasOpen: a record that calls a connect failed though the
// connection had states that only an open one has, tells of its end.
func TestTCP_FailedAfterItWasOpen(t *testing.T) {
	b := newBench(t, Want{})
	b.begin([]whose.Session{stood(1, whose.Established, owner("curl", 7))},
		record(tcpFail, 5, 1, out, opened(-1), by("curl", 7), from(whose.FinWait2)),
		record(tcpFail, 6, 2, out, opened(-1), by("curl", 7), from(whose.LastAck)),
		record(tcpFail, 7, 3, out, opened(1), by("curl", 7), from(whose.SynSent), failed(eTIMEDOUT)),
	)
	b.want(
		"5 close out tcp 10.0.0.1:1001>10.0.0.2:80 curl/7 orderly here 5ms since",
		"6 close out tcp 10.0.0.1:1002>10.0.0.2:80 curl/7 orderly there 6ms since",
		"7 fail out tcp 10.0.0.1:1003>10.0.0.2:80 curl/7 timed-out errno=110 6ms",
		"standing out tcp 10.0.0.1:1001>10.0.0.2:80 curl/7",
	)
}

// TestSizes holds the sizes that comments and options state.
func TestSizes(t *testing.T) {
	if n := unsafe.Sizeof(entry{}); n != 136 {
		t.Errorf("an entry has %d bytes, want 136", n)
	}
	if n := unsafe.Sizeof(whose.Event{}); n > 496 { // the session, its life, and the event's own fields
		t.Errorf("an event has %d bytes, want at most 496", n)
	}
	if n := unsafe.Sizeof(endedSet{}); n != 512<<10 {
		t.Errorf("the set of what ended last has %d bytes, want 512 KiB", n)
	}
}

func TestTCP_ProcessThatIsNotVisible(t *testing.T) {
	b := newBench(t, Want{})
	b.apply(record(tcpOpen, 1, 1, out, opened(1), func(r *bpfevent.Record) { copy(r.Task.Comm[:], "host") }))
	b.want("1 open out tcp 10.0.0.1:1001>10.0.0.2:80 hidden")
}

func TestTable_Full(t *testing.T) {
	b := newBenchOf(t, Want{}, 1)
	b.apply(
		record(tcpOpen, 1, 1, out, opened(1), by("a", 7)),
		record(tcpOpen, 2, 2, out, opened(2), by("b", 8)),
		record(tcpClose, 3, 2, out, opened(2), by("b", 8), from(whose.LastAck)),
		record(tcpClose, 4, 1, out, opened(1), from(whose.LastAck)),
	)
	b.want(
		"1 open out tcp 10.0.0.1:1001>10.0.0.2:80 a/7",
		"2 open out tcp 10.0.0.1:1002>10.0.0.2:80 b/8",
		"3 close out tcp 10.0.0.1:1002>10.0.0.2:80 b/8 orderly there 1ms",
		"4 close out tcp 10.0.0.1:1001>10.0.0.2:80 a/7 orderly there 3ms",
	)
	if b.g.lost != 1 {
		t.Errorf("table losses %d, want 1", b.g.lost)
	}
}

func TestFilter(t *testing.T) {
	w := Want{Match: filter.Compile(expr(t, "process curl and state established"), filter.Env{}), Needs: whose.NeedOwners}
	b := newBench(t, w)
	b.apply(
		record(tcpOpen, 1, 1, out, opened(1), by("curl", 7)),
		record(tcpOpen, 1, 2, out, opened(1), by("wget", 8)),
		record(tcpOpen, 1, 3, opened(1)),
		record(tcpAccept, 1, 3, opened(1), by("curl", 7)),
		record(tcpClose, 2, 1, out, opened(1), from(whose.LastAck)),
		record(tcpClose, 2, 2, out, opened(1), from(whose.LastAck)),
	)
	b.want(
		"1 open out tcp 10.0.0.1:1001>10.0.0.2:80 curl/7",
		"1 open in tcp 10.0.0.1:1003>10.0.0.2:80 curl/7",
		"2 close out tcp 10.0.0.1:1001>10.0.0.2:80 curl/7 orderly there 1ms",
	)
	if diff := cmp.Diff([]string{"in tcp 10.0.0.1:1003>10.0.0.2:80 curl/7"}, b.sessions(nil)); diff != "" {
		t.Error(diff)
	}
}

func TestFilter_KindsProtosAndLateFacts(t *testing.T) {
	b := newBench(t, Want{Kinds: whose.SetOf(whose.EventClose), Protos: whose.SetOf(whose.TCP)})
	b.apply(
		record(tcpOpen, 1, 1, out, opened(1), by("curl", 7)),
		record(tcpClose, 2, 1, out, opened(1), from(whose.LastAck)),
		record(bpfevent.UDPOpen, 3, 2, udp, opened(3), by("dig", 7)),
		record(bpfevent.UDPClose, 4, 2, udp, opened(3)),
	)
	b.want("2 close out tcp 10.0.0.1:1001>10.0.0.2:80 curl/7 orderly there 1ms")

	e := expr(t, "bytes_sent > 50")
	b = newBench(t, Want{Match: filter.Compile(e, filter.Env{}), Late: true})
	b.apply(
		record(tcpOpen, 1, 1, out, opened(1), by("curl", 7)),
		record(tcpClose, 2, 1, out, opened(1), from(whose.LastAck), bytesOf(51, 0)),
		record(tcpOpen, 1, 2, out, opened(1), by("curl", 7)),
		record(tcpClose, 2, 2, out, opened(1), from(whose.LastAck), bytesOf(50, 0)),
	)
	b.want("2 close out tcp 10.0.0.1:1001>10.0.0.2:80 curl/7 orderly there 1ms 51/0 0/0")
}

// TestProcess_Facts: what the programs read of a process stands in its events,
// also when it executes another program; what was handed out stays.
func TestProcess_Facts(t *testing.T) {
	var seen []whose.Process
	g := New(10, NewNames(nil, 0), ofAll(Want{}), asEvents(func(e *whose.Event) { seen = append(seen, *e.Session.Owners[0].Process) }))
	who := by("sh", 7)
	exec := by("curl", 7)
	for _, r := range []bpfevent.Record{
		record(bpfevent.ProcessSeen, 1, 0, who, func(r *bpfevent.Record) { r.Text, r.Exe = []byte("sh\x00-e\x00x\x00"), []byte("/bin/sh") }),
		record(tcpOpen, 2, 1, out, opened(2), who),
		record(bpfevent.ProcessExec, 3, 0, exec, func(r *bpfevent.Record) { r.Text, r.Exe = []byte("curl\x00y\x00"), []byte("/bin/curl") }),
		record(tcpClose, 4, 1, out, opened(2), from(whose.LastAck)),
	} {
		g.Apply(&r)
	}
	start := time.Unix(0, 0).Add(70 * source.Tick)
	want := []whose.Process{
		{PID: 7, StartTime: start, Comm: "sh", Cmdline: "sh -e x", Exe: "/bin/sh", Script: "x"},
		{PID: 7, StartTime: start, Comm: "curl", Cmdline: "curl y", Exe: "/bin/curl"},
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Error(diff)
	}
}

func TestProcess_Bounded(t *testing.T) {
	b := newBench(t, Want{})
	long := make([]byte, 1<<16)
	for i := range 6 * minSwept {
		pid := uint32(i + 10)
		b.apply(
			record(bpfevent.ProcessSeen, i, 0, by("p", pid), func(r *bpfevent.Record) { r.Text, r.Exe = long, long }),
			record(tcpOpen, i, uint64(i+1), out, opened(i), by("p", pid)),
			record(tcpClose, i, uint64(i+1), out, opened(i)),
		)
	}
	if n := len(b.g.processes.byID); n > 2*minSwept {
		t.Errorf("%d processes are kept, want at most %d", n, 2*minSwept)
	}
	if n := len(b.g.processes.sets); n > 2*minSwept+3 {
		t.Errorf("%d sets are kept, want at most one for each process", n)
	}
	for _, one := range b.g.processes.byID {
		if len(one.facts.Cmdline) > maxCmdline || len(one.facts.Exe) > maxExe {
			t.Fatalf("texts of %d and %d bytes are kept", len(one.facts.Cmdline), len(one.facts.Exe))
		}
	}
}

// TestEntry_Succeeds: the end of an earlier session of the same socket is not
// that of the one in the first snapshot.
func TestEntry_Succeeds(t *testing.T) {
	at := func(local, remote uint16, flags entryFlags) *entry {
		e := &entry{flags: flags}
		e.LocalPort, e.RemotePort, e.State = local, remote, whose.Established
		return e
	}
	for name, test := range map[string]struct {
		known, ended *entry
		want         bool
	}{
		"other ends":                 {at(1002, 80, since), at(1001, 80, 0), true},
		"the same ends":              {at(1001, 80, since), at(1001, 80, 0), false},
		"followed from its opening":  {at(1002, 80, 0), at(1001, 80, 0), false},
		"an end without its port":    {at(1002, 80, since), at(0, 80, 0), false},
		"an end without a remote":    {at(1002, 80, since), at(1001, 0, 0), false},
		"an entry without its other": {at(1002, 0, since), at(1001, 80, 0), false},
	} {
		if got := test.known.succeeds(test.ended); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}
