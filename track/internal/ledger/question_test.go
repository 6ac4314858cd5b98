package ledger

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/track/internal/bpfevent"
)

func TestCount_IsWhatTheFilterSays(t *testing.T) {
	b := filled(t, 50_000) // more than one goroutine counts
	everything := b.g.Ask(nil, filter.Env{}, 0).AppendAll(nil)
	for _, text := range countFilters {
		e := expr(t, text)
		m, want := filter.Compile(e, filter.Env{}), 0
		for i := range everything {
			if m.Match(&everything[i]) {
				want++
			}
		}
		q := b.g.Ask(e, filter.Env{}, 0)
		if got := q.Count(); got != want {
			t.Errorf("%s: count %d, want %d", text, got, want)
		}
		if got := len(b.g.Ask(e, filter.Env{}, 0).AppendAll(nil)); got != want {
			t.Errorf("%s: %d sessions, want %d", text, got, want)
		}
	}
}

var countFilters = []string{
	"proto tcp", "proto udp or state listen", "port 443", "remote_port 443 and process p3", "process p1 or process p2",
	"not port 443", "remote 10.0.7.0/24", "pid 3 and state established", "direction in", "uid 0 and port 80", "comm ~ p.*7",
	"state time_wait", "reason unheld", "netns 1",
}

// filled is a bench with n sessions of many kinds and processes.
func filled(t testing.TB, n int) *bench {
	b := newBenchOf(t, Want{}, n+1)
	b.g.outbox.deliver = func([]Event) {}
	for i := range n {
		who := by(fmt.Sprint("p", i%100), uint32(i%100)+1)
		more := []rec{opened(i), who, to(fmt.Sprintf("10.0.%d.%d:%d", i>>8&255, i&255, []int{443, 80, 53, 5432}[i%4])), out}
		kind := tcpOpen
		switch i % 10 {
		case 3:
			kind, more = udpOpen, append(more, udp)
		case 7:
			kind, more = tcpListen, []rec{bound("0.0.0.0:8080"), who}
		}
		r := record(kind, i, uint64(i+1), more...)
		b.g.Apply(&r)
	}
	return b
}

// BenchmarkCount/100k: a question to the live table has a millisecond.
func BenchmarkCount(b *testing.B) {
	bench := filled(b, 100_000)
	for _, text := range append([]string{""}, countFilters...) {
		var e filter.Expr
		if text != "" {
			e = expr(b, text)
		}
		b.Run("100k/"+strings.ReplaceAll(text, "/", "_"), func(b *testing.B) {
			for b.Loop() {
				bench.g.Ask(e, filter.Env{}, 0).Count()
			}
		})
	}
}

// newQueued is a bench whose events are held until a settle and go into a queue,
// as those of a tracker do.
func newQueued(b *testing.B, w Want) (*bench, *Queue) {
	q := NewQueue(1<<16, time.Now, lostEvent)
	bench := newBenchOf(b, w, 1<<20)
	bench.g.outbox.deliver = func(events []Event) { q.Put(events...) }
	bench.g.outbox.holds = true
	return bench, q
}

// BenchmarkSession is the whole way of an accepted connection from its records
// to its two events, 2,000 of which are given out at a time.
func BenchmarkSession(b *testing.B) {
	bench, q := newQueued(b, Want{})
	open := record(tcpOpen, 1, 1)
	accept := record(tcpAccept, 1, 1, by("nginx", 5))
	end := record(tcpClose, 2, 1, from(whose.FinWait2))
	b.ReportAllocs()
	for b.Loop() {
		at := open.Time + 1000
		for _, r := range []*bpfevent.Record{&open, &accept, &end} {
			r.Cookie++
			r.LocalPort++
			r.Time, r.Opened = at, at
			bench.g.Apply(r)
		}
		if len(bench.g.outbox.held) == 2000 {
			bench.g.outbox.settle(at, maxHeld)
			for range 2000 {
				q.take()
			}
		}
	}
}

// BenchmarkWhole is the way of a short connection within this host, both ends of
// which are told whole, to the reader of its four events.
func BenchmarkWhole(b *testing.B) {
	bench, q := newQueued(b, Want{Needs: whose.NeedOwners | whose.NeedCmdline | whose.NeedExe | whose.NeedUser | whose.NeedNetNSName | whose.NeedDirection | whose.NeedPeer})
	client := record(tcpClose, 1, 1, out, by("wrk", 7), from(whose.LastAck))
	server := record(tcpClose, 1, 2, swap, by("nginx", 5), wasAccepted, from(whose.FinWait2))
	var e whose.Event
	var info whose.TCPInfo
	b.ReportAllocs()
	for b.Loop() {
		at := client.Time + 1000
		client.LocalPort++
		server.RemotePort = client.LocalPort
		for _, r := range []*bpfevent.Record{&server, &client} {
			r.Cookie += 2
			r.Time, r.Opened = at, at-500
			bench.g.Apply(r)
		}
		if len(bench.g.outbox.held) == 8000 {
			bench.g.outbox.settle(at, maxHeld)
			for range 8000 {
				m, _, _ := q.take()
				m.Write(&e, func() *whose.TCPInfo { return &info })
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(4*b.N), "ns/event")
}

// BenchmarkBegin merges a snapshot of 100,000 sessions, and tells the bytes
// that the table keeps for each.
func BenchmarkBegin(b *testing.B) {
	snapshot := make([]whose.Session, 100_000)
	owners := make([]whose.Owner, 1000)
	for i := range owners {
		owners[i] = owner(fmt.Sprint("p", i), uint32(i+1))
	}
	var bench *bench
	for b.Loop() {
		for i := range snapshot {
			snapshot[i] = stood(uint64(i+1), whose.Established, owners[i%len(owners)])
		}
		b.StopTimer()
		bench = nil
		before := heap()
		bench = newBenchOf(b, Want{}, 1<<20)
		b.StartTimer()
		bench.g.Begin(snapshot, nil)
		b.StopTimer()
		b.ReportMetric(float64(heap()-before)/float64(len(snapshot)), "bytes/session")
		b.StartTimer()
	}
	runtime.KeepAlive(bench)
}

// The live table knows the age of what it saw open, and of nothing else.
func TestQuestion_Age(t *testing.T) {
	b := newBench(t, Want{Needs: whose.NeedOwners | whose.NeedLife})
	b.begin([]whose.Session{stood(1, whose.Established, owner("curl", 7))})
	b.apply(record(tcpOpen, 10, 2, at("10.0.0.1:1002"), to("10.0.0.2:80"), out, opened(10), by("app", 7)))
	ages := func(g *Engine, where string, now uint64) map[uint64]time.Duration {
		e, err := filter.Parse(where)
		if err != nil {
			t.Fatal(err)
		}
		got := make(map[uint64]time.Duration)
		for _, s := range g.Ask(e, filter.Env{}, now).AppendAll(nil) {
			v := whose.FieldByName("age").Value(s.Row())
			got[s.Cookie] = time.Duration(v.Num)
		}
		return got
	}
	const now = uint64(began+10)*1e6 + uint64(3*time.Second) // opened at 10
	if diff := cmp.Diff(map[uint64]time.Duration{1: 0, 2: 3 * time.Second}, ages(b.g, "tcp", now)); diff != "" {
		t.Errorf("ages (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[uint64]time.Duration{2: 3 * time.Second}, ages(b.g, "age > 2s", now)); diff != "" {
		t.Errorf("ages of those above two seconds (-want +got):\n%s", diff)
	}
	if got := ages(b.g, "age > 4s", now); len(got) != 0 {
		t.Errorf("above four seconds: %v", got)
	}
}
