package ledger

import (
	"testing"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/track/internal/bpfevent"
)

// TestQueue_EndsWithItsListener: a connection that ended with its listener has
// the listener's owners in both its events, whatever was reported before, and
// whoever listens there now.
func TestQueue_EndsWithItsListener(t *testing.T) {
	listens := func(at int, cookie uint64, comm string, pid uint32, more ...rec) bpfevent.Record {
		return record(tcpListen, at, cookie, append([]rec{bound("0.0.0.0:1001"), by(comm, pid)}, more...)...)
	}
	ceases := func(at int, cookie uint64) bpfevent.Record {
		return record(tcpUnlisten, at, cookie, bound("0.0.0.0:1001"))
	}
	opens := record(tcpOpen, 20, 1, opened(20))
	ends := func(at int, more ...rec) bpfevent.Record {
		return record(tcpClose, at, 1, append([]rec{opened(20), from(whose.Established), resetHere, queued}, more...)...)
	}
	const in = " in tcp 10.0.0.1:1001>10.0.0.2:80 "
	for _, c := range []struct {
		rule    string
		records []bpfevent.Record
		want    []string
	}{
		{"before the second is over", []bpfevent.Record{listens(1, 10, "a", 4), opens, ceases(500, 10), ends(501, by("a", 4))},
			[]string{"20 open" + in + "a/4 accept-queue", "501 close" + in + "a/4 accept-queue reset here 481ms"}},
		{"before a record of its opening", []bpfevent.Record{listens(1, 10, "a", 4), ceases(25, 10), ends(26, by("a", 4))},
			[]string{"20 open" + in + "a/4 accept-queue", "26 close" + in + "a/4 accept-queue reset here 6ms"}},
		{"long after", []bpfevent.Record{listens(1, 10, "a", 4), opens, record(tcpListen, 1020, 99, bound("0.0.0.0:2"), by("z", 9)), ceases(2000, 10), ends(2001, by("a", 4))},
			[]string{"20 open" + in + "a/4 accept-queue", "2001 close" + in + "a/4 accept-queue reset here 1.981s"}},
		{"somebody else ended the listener", []bpfevent.Record{listens(1, 10, "a", 4), opens, ceases(500, 10), ends(501, by("ss", 7))},
			[]string{"20 open" + in + "a/4 accept-queue", "501 close" + in + "a/4 accept-queue reset here 481ms"}},
		{"nobody is known to have ended it", []bpfevent.Record{listens(1, 10, "a", 4), opens, ceases(500, 10), ends(501)},
			[]string{"20 open" + in + "a/4 accept-queue", "501 close" + in + "a/4 accept-queue reset here 481ms"}},
		{"one of a group", []bpfevent.Record{listens(1, 10, "a", 4), listens(1, 11, "b", 5), opens, ceases(500, 10), ends(501, by("a", 4))},
			[]string{"20 open" + in + "a/4 accept-queue", "501 close" + in + "a/4 accept-queue reset here 481ms"}},
		{"a group at once", []bpfevent.Record{listens(1, 10, "a", 4), listens(1, 11, "b", 5), opens, ceases(500, 10), ceases(500, 11), ends(501, by("a", 4))},
			[]string{"20 open" + in + "a/4 accept-queue", "501 close" + in + "a/4 accept-queue reset here 481ms"}},
		{"moved to another of the group, which ends", []bpfevent.Record{
			listens(1, 10, "a", 4), opens, listens(30, 11, "b", 5), ceases(40, 10), ceases(500, 11), ends(501, by("b", 5))},
			[]string{"20 open" + in + "b/5 accept-queue", "501 close" + in + "b/5 accept-queue reset here 481ms"}},
		{"somebody listens anew", []bpfevent.Record{listens(1, 10, "a", 4), opens, ceases(500, 10), listens(500, 12, "new", 6), ends(501, by("a", 4))},
			[]string{"20 open" + in + "a/4 accept-queue", "501 close" + in + "a/4 accept-queue reset here 481ms"}},
		{"the end of the listener was lost", []bpfevent.Record{listens(1, 10, "a", 4), opens, ends(501, by("a", 4))},
			[]string{"20 open" + in + "a/4 accept-queue", "501 close" + in + "a/4 accept-queue reset here 481ms"}},
		{"it was lost, and somebody listens anew", []bpfevent.Record{
			listens(1, 9, "old", 3), ceases(2, 9), opens, listens(30, 12, "new", 6), ends(501, by("a", 4))},
			[]string{"20 open" + in + "accept-queue", "501 close" + in + "accept-queue reset here 481ms"}},
		{"the other side reset it first", []bpfevent.Record{
			listens(1, 10, "a", 4), opens, record(tcpClose, 300, 1, opened(20), from(whose.Established), failed(eCONNRESET)), ceases(500, 10), listens(501, 12, "new", 6)},
			[]string{"20 open" + in + "a/4 accept-queue", "300 close" + in + "a/4 accept-queue reset there 280ms"}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			b := newBench(t, Want{Kinds: whose.SetOf(whose.EventOpen, whose.EventClose, whose.EventOwned)})
			for _, r := range c.records {
				b.g.Expire(r.Time)
				b.apply(r)
			}
			b.g.Expire((began + 5000) * 1e6)
			b.want(c.want...)
		})
	}
}

// TestQueue_Group: one that waits has the owners of all that listen there, as a
// listing names them, and keeps them as the other side ends it.
func TestQueue_Group(t *testing.T) {
	b := newBench(t, Want{})
	b.apply(
		record(tcpListen, 1, 10, bound("0.0.0.0:1001"), by("a", 4)),
		record(tcpOpen, 20, 1, opened(20)),
		record(tcpListen, 30, 11, bound("0.0.0.0:1001"), by("b", 5)),
	)
	b.lines = nil
	b.g.Expire((began + 1020) * 1e6)
	b.want("20 open in tcp 10.0.0.1:1001>10.0.0.2:80 a/4,b/5 accept-queue")
	b.lines = nil
	b.apply(record(tcpClose, 1500, 1, opened(20), from(whose.Established), failed(eCONNRESET)))
	b.want("1500 close in tcp 10.0.0.1:1001>10.0.0.2:80 a/4,b/5 accept-queue reset there 1.48s")
}

// TestQueue_Moved: one that outlived the listener of its opening was moved to
// another.
func TestQueue_Moved(t *testing.T) {
	b := newBench(t, Want{})
	b.apply(
		record(tcpListen, 1, 10, bound("0.0.0.0:1001"), by("a", 4)),
		record(tcpOpen, 20, 1, opened(20)),
		record(tcpListen, 30, 11, bound("0.0.0.0:1001"), by("b", 5)),
		record(tcpUnlisten, 2000, 10, bound("0.0.0.0:1001")),
	)
	if got := b.sessions(expr(t, "state established")); len(got) != 1 || got[0] != "in tcp 10.0.0.1:1001>10.0.0.2:80 b/5 accept-queue" {
		t.Errorf("moved to the other listener: %q", got)
	}
}

// TestQueue_AcceptedByNobodyVisible: a hidden process accepted what the other
// side had reset. Its owners are not those of the listener.
func TestQueue_AcceptedByNobodyVisible(t *testing.T) {
	b := newBench(t, Want{})
	b.apply(
		record(tcpListen, 1, 10, bound("0.0.0.0:1001"), by("a", 4)),
		record(tcpOpen, 20, 1, opened(20)),
		record(tcpClose, 300, 1, opened(20), from(whose.Established), failed(eCONNRESET)),
		record(tcpAccept, 400, 1, opened(20), func(r *bpfevent.Record) { r.Task.Start = 7 }),
	)
	b.want(
		"1 listen tcp 0.0.0.0:1001>0.0.0.0:0 a/4",
		"20 open in tcp 10.0.0.1:1001>10.0.0.2:80 hidden",
		"300 close in tcp 10.0.0.1:1001>10.0.0.2:80 hidden reset there 280ms",
	)
}

// TestQueue_StoodBefore: the first word of a connection is that it ended with
// its listener, which no snapshot had either.
func TestQueue_StoodBefore(t *testing.T) {
	b := newBench(t, Want{Kinds: whose.SetOf(whose.EventClose)})
	b.begin([]whose.Session{*listener(10, owner("a", 4))})
	b.apply(
		record(tcpUnlisten, 20, 10, bound("10.0.0.1:1010")),
		record(tcpClose, 21, 1, at("10.0.0.1:1010"), from(whose.Established), resetHere, queued, by("a", 4)),
	)
	b.want("standing tcp 10.0.0.1:1010>0.0.0.0:0 a/4",
		"21 close in tcp 10.0.0.1:1010>10.0.0.2:80 a/4 accept-queue reset here 21ms since")
}

func listener(cookie uint64, owners ...whose.Owner) *whose.Session {
	s := stood(cookie, whose.Listen, owners...)
	return &s
}

func resetHere(r *bpfevent.Record) { r.ResetHere = true }

// TestCeased_Bounded: what is remembered of listeners has a bound.
func TestCeased_Bounded(t *testing.T) {
	b := newBench(t, Want{})
	for i := range 3 * maxCeased {
		b.apply(
			record(tcpListen, i, uint64(i+1), bound("0.0.0.0:1001"), by("a", uint32(i+1))),
			record(tcpUnlisten, i, uint64(i+1), bound("0.0.0.0:1001")),
		)
	}
	if n := len(b.g.ceased.all); n != maxCeased {
		t.Errorf("%d listeners remembered, want %d", n, maxCeased)
	}
	b.lines = nil
	b.apply(record(tcpClose, 3*maxCeased, 5000, at("10.0.0.1:1001"), opened(3*maxCeased-1), from(whose.Established), resetHere, queued))
	if len(b.lines) != 2 {
		t.Errorf("events %q", b.lines)
	}
}
