package store

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/history"
)

// A rig is a writer with a clock that the test moves, and the events it got.
type rig struct {
	t      *testing.T
	w      *Writer
	opts   Options
	now    time.Time
	boot   time.Duration
	told   []error
	events []whose.Event
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newRig(t *testing.T, opts Options) *rig {
	t.Helper()
	r := &rig{t: t, now: noon, boot: time.Hour, opts: opts}
	if r.opts.Dir == "" {
		r.opts.Dir = filepath.Join(t.TempDir(), "history")
	}
	r.opts.GID, r.opts.Host = -1, "web1"
	r.opts.Boot = cmp.Or(r.opts.Boot, "boot 1")
	r.opts.Now = func() time.Time { return r.now }
	r.opts.Since = func() time.Duration { return r.boot }
	r.opts.Report = func(err error) { r.told = append(r.told, err) }
	r.start()
	t.Cleanup(func() { r.stop() })
	return r
}

func (r *rig) start() {
	r.t.Helper()
	w, err := Create(r.t.Context(), r.opts)
	if err != nil {
		r.t.Fatal(err)
	}
	r.w = w
}

func (r *rig) stop() {
	r.t.Helper()
	if r.w != nil {
		if err := r.w.Close(context.Background()); err != nil {
			r.t.Error(err)
		}
	}
	r.w = nil
}

// kill drops the writer as a kill would: nothing more is committed.
func (r *rig) kill() {
	if r.w.file != nil {
		r.w.file.close()
	}
	r.w.lock.Close()
	r.w = nil
}

// pass lets time go by, with a commit at its end.
func (r *rig) pass(d time.Duration) {
	r.t.Helper()
	r.now, r.boot = r.now.Add(d), r.boot+d
	if err := r.w.Flush(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) add(e whose.Event) {
	r.events = append(r.events, e)
	r.w.Add(&e)
}

func (r *rig) reader() *Reader {
	r.t.Helper()
	reader, err := Open(r.opts.Dir, time.UTC)
	if err != nil {
		r.t.Fatal(err)
	}
	return reader
}

// sessions answers a question, in order.
func (r *rig) sessions(q history.Query) ([]whose.Session, whose.Coverage) {
	r.t.Helper()
	var all []whose.Session
	cov, err := r.reader().Sessions(r.t.Context(), &q, func(s *whose.Session) bool {
		all = append(all, history.Keep(s))
		return true
	})
	if err != nil {
		r.t.Fatal(err)
	}
	history.Sort(all, nil)
	return all, cov
}

func (r *rig) readEvents(q history.Query) []whose.Event {
	r.t.Helper()
	var all []whose.Event
	_, err := r.reader().Events(r.t.Context(), &q, func(e *whose.Event) bool {
		all = append(all, *e)
		return true
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return all
}

// A maker makes sessions by chance, of few values so that filters meet.
type maker struct {
	*rand.Rand
	procs  [][]whose.Owner
	cookie uint64
}

func newMaker(seed uint64) *maker {
	m := &maker{Rand: rand.New(rand.NewPCG(seed, 7))}
	for i := range uint32(6) {
		p := &whose.Process{
			PID: 100 + i, StartTime: noon.Add(-time.Duration(i) * time.Hour), Comm: []string{"nginx", "sshd", "\x1b[31m\xff"}[i%3],
			Exe: "/usr/bin/x", Cmdline: fmt.Sprint("x -", i), UID: i, User: []string{"root", "www"}[i%2], Parent: 1, Unit: "x.service",
		}
		m.procs = append(m.procs, []whose.Owner{{Process: p}})
	}
	m.procs = append(m.procs, append(slices.Clone(m.procs[0]), m.procs[1]...), nil)
	return m
}

func (m *maker) end() netip.AddrPort {
	addr := netip.AddrFrom4([4]byte{10, 0, 0, byte(m.IntN(6))})
	if m.IntN(4) == 0 {
		addr = netip.AddrFrom16([16]byte{0: 0x20, 15: byte(m.IntN(4))})
	}
	return netip.AddrPortFrom(addr, []uint16{80, 443, 5432, uint16(m.IntN(65536))}[m.IntN(4)])
}

func (m *maker) session() whose.Session {
	m.cookie++
	s := whose.Session{
		Local: m.end(), Remote: m.end(), Cookie: m.cookie, Flow: m.Uint64() * uint64(m.IntN(2)), Inode: uint64(m.IntN(1000)), NetNS: []uint32{1, 7}[m.IntN(2)], UID: uint32(m.IntN(2)),
		Proto: whose.TCP, Family: whose.IPv4, State: whose.Established, Direction: whose.Direction(m.IntN(3)), User: "root",
		Owners: m.procs[m.IntN(len(m.procs))], Peer: m.procs[m.IntN(len(m.procs))], Unknown: whose.FactRecvQueue | whose.FactSendQueue,
	}
	s.NetNSName = []string{"", "shop"}[m.IntN(2)]
	if len(s.Owners) == 0 {
		s.Reason = whose.ReasonOrphan
	}
	switch m.IntN(5) {
	case 0:
		s.Proto = whose.UDP
	case 1:
		s.State, s.Direction, s.Remote = whose.Listen, 0, netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	}
	return s
}

// life makes the events of a session, from its opening to its end.
func (m *maker) life(from, to time.Time) []whose.Event {
	s := m.session()
	opened := from.Add(time.Duration(m.Int64N(int64(to.Sub(from)))).Truncate(time.Microsecond))
	took := time.Duration(m.ExpFloat64() * float64([]time.Duration{50 * time.Millisecond, time.Minute, 10 * time.Hour}[m.IntN(3)])).Truncate(time.Microsecond)
	ended := opened.Add(took)
	open := whose.Event{Time: opened, Kind: whose.EventOpen, Lifetime: whose.Lifetime{Opened: opened}, Session: s}
	end := whose.Event{Time: ended, Kind: whose.EventClose, Session: s, Lifetime: whose.Lifetime{
		Opened: opened, Closed: ended, Duration: took, End: whose.EndOrderly, By: whose.Side(m.IntN(3)), Counted: true,
		Sent: whose.Traffic{Bytes: uint64(m.IntN(1e6))}, Received: whose.Traffic{Bytes: uint64(m.IntN(1e3))},
	}}
	end.Session.State = whose.Close
	switch {
	case s.State == whose.Listen:
		open.Kind, end.Kind = whose.EventListen, whose.EventUnlisten
		end.Session.State = whose.Listen
		end.Lifetime = whose.Lifetime{Opened: opened}
	case m.IntN(6) == 0:
		end.Kind, end.Session.State = whose.EventFail, whose.SynSent
		end.Lifetime = whose.Lifetime{Closed: ended, Duration: took, End: whose.EndRefused, Errno: 111}
		return []whose.Event{end}
	case s.Proto == whose.UDP:
		end.End, end.By = whose.EndIdle, 0
		end.Sent.Datagrams = 3
	default:
		end.Session.TCP = &whose.TCPInfo{RTT: 50 * time.Microsecond, Retrans: 2, BytesSent: end.Sent.Bytes, BytesReceived: end.Received.Bytes}
		if m.IntN(8) == 0 { // it is handed over
			at := opened.Add(took / 2).Truncate(time.Microsecond)
			now := whose.Event{Time: at, Kind: whose.EventOwned, Lifetime: whose.Lifetime{Opened: opened}, Session: s}
			now.Session.Owners, now.Session.Reason = m.procs[2], 0
			end.Session.Owners, end.Session.Reason = m.procs[2], 0
			return []whose.Event{open, now, end}
		}
	}
	return []whose.Event{open, end}
}

// play gives the writer the lives of many sessions, over two days and as one stream.
func (r *rig) play(m *maker, n int) {
	r.t.Helper()
	from, to := r.now, r.now.Add(30*time.Hour)
	var events []whose.Event
	for range n {
		events = append(events, m.life(from, to)...)
	}
	slices.SortStableFunc(events, func(a, b whose.Event) int { return a.Time.Compare(b.Time) })
	for _, e := range events {
		if e.Time.After(to) {
			break
		}
		if d := e.Time.Sub(r.now); d > time.Second && m.IntN(8) == 0 {
			r.pass(d)
		}
		r.add(e)
	}
	r.pass(to.Sub(r.now))
	r.pass(time.Second)
}

// plain derives the past from the events, in the plainest way.
func plain(events []whose.Event, q *history.Query) []whose.Session {
	type life struct {
		whose.Session
		whose.Lifetime
		changes []whose.Event
		ended   time.Time
	}
	lives := map[uint64]*life{}
	for _, e := range events {
		l := lives[e.Session.Cookie]
		if l == nil {
			l = &life{Session: e.Session, Lifetime: whose.Lifetime{Opened: e.Opened, FirstSeen: e.Opened}}
			lives[e.Session.Cookie] = l
		}
		l.changes = append(l.changes, e)
		switch {
		case e.Kind.Ends():
			l.Session.Owners, l.Session.Peer, l.Session.Reason, l.Session.TCP = e.Session.Owners, e.Session.Peer, e.Session.Reason, e.Session.TCP
			l.Lifetime, l.ended = e.Lifetime, e.Time
			l.FirstSeen = e.Opened
			if e.Kind == whose.EventFail {
				l.FirstSeen = e.Time.Add(-e.Duration)
			}
		case e.Kind == whose.EventUnlisten:
			l.ended, l.Closed, l.Duration = e.Time, e.Time, e.Time.Sub(e.Opened)
		case e.Kind == whose.EventOwned:
			l.Session.Owners, l.Session.Peer, l.Session.Reason = e.Session.Owners, e.Session.Peer, e.Session.Reason
		}
	}
	match := filter.Compile(q.Filter, q.Env)
	var all []whose.Session
	for _, l := range lives {
		s := l.Session
		there := l.FirstSeen.Before(q.To) && (l.ended.IsZero() || !l.ended.Before(q.From))
		if q.Moment() {
			there = !l.FirstSeen.After(q.From) && (l.ended.IsZero() || l.ended.After(q.From))
			for _, e := range l.changes { // as it was then
				if !e.Time.After(q.From) && (e.Kind == whose.EventOpen || e.Kind == whose.EventOwned) {
					s.Owners, s.Peer, s.Reason = e.Session.Owners, e.Session.Peer, e.Session.Reason
				}
			}
		}
		life := l.Lifetime
		life.Host = "web1"
		s.Life = &life
		if there && match.Match(&s) {
			all = append(all, s)
		}
	}
	history.Sort(all, nil)
	return all
}

var equal = gocmp.Options{
	cmpopts.EquateComparable(netip.AddrPort{}), cmpopts.EquateApproxTime(0), cmpopts.EquateEmpty(),
}

// differ returns the difference of two lists, "" for none.
func differ[T any](want, got []T) string {
	if reflect.DeepEqual(want, got) { // it is much faster
		return ""
	}
	return gocmp.Diff(want, got, equal)
}

// someFilters have parts to push down, parts to evaluate, and both.
var someFilters = []string{
	"", "nginx", "not nginx", "tcp", "udp or listen", ":443", "remote 10.0.0.1", "remote 10.0.0.0/30 and not sshd", "local 2000::1 or rport 5432",
	"rport > 1000 and bytes_sent > 500k", "end refused", "duration > 1m and nginx", "comm ~ '^s'", "netns shop", "netns 7 and pid 101",
	"end idle or errno 111", "user root and cmdline *3", "peer sshd", "by here", "lport 80,443 and unit x.service", "tcp and udp", "opened > 2026-03-01T18:00:00Z",
	"state syn_sent", "reason orphan", "addr 10.0.0.9",
}

func parsed(t *testing.T, text string) filter.Expr {
	t.Helper()
	if text == "" {
		return nil
	}
	e, err := filter.Parse(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return e
}

// TestSessions holds every answer against the plain one: what is pushed down into
// the blocks and the rest of the filter together are the filter.
func TestSessions(t *testing.T) {
	r, m := newRig(t, Options{}), newMaker(1)
	r.play(m, 3000)
	found := 0
	for i := range 150 {
		q := history.Query{From: noon.Add(time.Duration(m.Int64N(int64(31 * time.Hour)))), Env: filter.Env{Now: r.now}}
		if q.To = q.From; i%2 == 0 {
			q.To = q.From.Add(time.Duration(m.Int64N(int64(5 * time.Hour))))
		}
		if q.To.After(r.now) {
			q.From, q.To = noon, r.now
		}
		text := someFilters[i%len(someFilters)]
		q.Filter = parsed(t, text)
		got, cov := r.sessions(q)
		want := plain(r.events, &q)
		if diff := differ(want, got); diff != "" {
			t.Fatalf("%q from %v to %v: %d sessions, want %d (-want +got):\n%s", text, q.From, q.To, len(got), len(want), diff)
		}
		if len(cov.Gaps) > 0 {
			t.Fatalf("gaps without a reason: %v", cov.Gaps)
		}
		found += len(got)
	}
	if found < 5000 {
		t.Errorf("%d sessions in all answers: the questions do not try it", found)
	}
}

// TestEvents reads back the events as they were, each once and in order.
func TestEvents(t *testing.T) {
	r, m := newRig(t, Options{}), newMaker(2)
	r.play(m, 3000)
	for i := range 60 {
		q := history.Query{From: noon.Add(time.Duration(m.Int64N(int64(30 * time.Hour)))), Kinds: whose.SetOf(whose.EventKinds()...) &^ whose.SetOf(whose.EventStanding)}
		q.To = q.From.Add(time.Duration(m.Int64N(int64(4 * time.Hour))))
		if i == 0 {
			q.From, q.To = noon, r.now
		}
		q.Filter = parsed(t, someFilters[i%len(someFilters)])
		match := filter.Compile(q.Filter, q.Env)
		var want []whose.Event
		for _, e := range r.events {
			if !e.Time.Before(q.From) && e.Time.Before(q.To) && match.MatchEvent(&e) {
				want = append(want, e)
			}
		}
		got := r.readEvents(q)
		for _, list := range [][]whose.Event{want, got} {
			slices.SortStableFunc(list, func(a, b whose.Event) int {
				return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Session.Cookie, b.Session.Cookie), cmp.Compare(a.Kind, b.Kind))
			})
		}
		if diff := differ(want, got); diff != "" {
			t.Fatalf("%v: %d events, want %d (-want +got):\n%s", q.Filter, len(got), len(want), diff)
		}
	}
}
