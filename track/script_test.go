package track

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/internal/source"
	"github.com/seed-44df2ae6/whose/track/internal/bpfevent"
)

// A bench is an engine whose events are written down as lines.
type bench struct {
	t     testing.TB
	g     *engine
	lines []string
}

// began is the boot clock of a bench when following begins, in milliseconds.
const began = 1_000_000

// asEvents returns what an engine gives its events to, so that fn sees them as
// a reader does.
func asEvents(fn func(*whose.Event)) func([]moment) {
	return func(events []moment) {
		for i := range events {
			var e whose.Event
			events[i].write(&e, func() *whose.TCPInfo { return new(whose.TCPInfo) })
			fn(&e)
		}
	}
}

func newBench(t testing.TB, w want) *bench { return newBenchOf(t, w, 1000) }

// ofAll returns what is wanted with all protocols, families and events where
// it names none.
func ofAll(w want) want {
	w.protos = cmp.Or(w.protos, whose.AllProtos)
	w.families = cmp.Or(w.families, whose.AllFamilies)
	w.kinds = cmp.Or(w.kinds, whose.SetOf(whose.EventKinds()...))
	return w
}

func newBenchOf(t testing.TB, w want, limit int) *bench {
	w = ofAll(w)
	b := &bench{t: t}
	b.g = newEngine(limit, newNames(nil, w.needs), w, asEvents(func(e *whose.Event) { b.lines = append(b.lines, lineOf(e)) }))
	b.g.began, b.g.healAfter = began*1e6, 0
	b.g.base = int64(-began * time.Millisecond)
	return b
}

// begin merges a snapshot with the records that came meanwhile.
func (b *bench) begin(snapshot []whose.Session, meanwhile ...bpfevent.Record) {
	for _, s := range b.g.begin(snapshot, meanwhile) {
		b.lines = append(b.lines, lineOf(&whose.Event{Kind: whose.EventStanding, Session: s}))
	}
}

func (b *bench) apply(records ...bpfevent.Record) {
	for i := range records {
		b.g.apply(&records[i])
	}
}

func (b *bench) want(lines ...string) {
	b.t.Helper()
	if diff := gocmp.Diff(lines, b.lines); diff != "" {
		b.t.Errorf("events (-want +got):\n%s", diff)
	}
	b.lines = nil
}

// table returns the live table, a line each, in the order of the lines.
func (b *bench) sessions(where filter.Expr) []string {
	var all []string
	for _, s := range b.g.ask(where, filter.Env{}).appendAll(nil) {
		all = append(all, sessionLine(&s))
	}
	return all
}

// lineOf writes an event as a line: time in ms, kind, session, and what else
// is set.
func lineOf(e *whose.Event) string {
	var b strings.Builder
	if e.Kind != whose.EventStanding {
		fmt.Fprintf(&b, "%d ", e.Time.UnixMilli())
	}
	b.WriteString(e.Kind.String())
	if e.Kind == whose.EventLost {
		return fmt.Sprintf("%s %d %s", &b, e.Lost, e.Why)
	}
	b.WriteString(" " + sessionLine(&e.Session))
	for _, word := range []string{e.End.String(), e.By.String()} {
		if word != "" {
			b.WriteString(" " + word)
		}
	}
	if e.Errno != 0 {
		fmt.Fprintf(&b, " errno=%d", e.Errno)
	}
	if e.Duration != 0 {
		fmt.Fprintf(&b, " %v", e.Duration)
	}
	if e.StoodBefore {
		b.WriteString(" since")
	}
	if (e.Sent != whose.Traffic{} || e.Received != whose.Traffic{}) {
		fmt.Fprintf(&b, " %d/%d %d/%d", e.Sent.Bytes, e.Sent.Datagrams, e.Received.Bytes, e.Received.Datagrams)
	}
	return b.String()
}

func sessionLine(s *whose.Session) string {
	var who []string
	for _, o := range s.Owners {
		who = append(who, fmt.Sprintf("%s/%d", o.Comm, o.PID))
	}
	words := []string{s.Direction.String(), s.Proto.String(), s.Local.String() + ">" + s.Remote.String(), strings.Join(who, ","), s.Reason.String()}
	return strings.Join(strings.Fields(strings.Join(words, " ")), " ")
}

// Records, of which the tests say only what matters. Times are milliseconds
// after following began; 0 opened is one that the programs did not see.

type rec func(*bpfevent.Record)

func record(kind bpfevent.Kind, at int, cookie uint64, more ...rec) bpfevent.Record {
	r := bpfevent.Record{
		Kind: kind, Time: uint64(began+at) * 1e6, Cookie: cookie, Proto: uint8(whose.TCP), Family: uint8(whose.IPv4),
		NetNS: 1, Local: addr("10.0.0.1"), Remote: addr("10.0.0.2"), LocalPort: uint16(1000 + cookie), RemotePort: 80,
	}
	for _, m := range more {
		m(&r)
	}
	return r
}

func out(r *bpfevent.Record) { r.Out = true }
func wasAccepted(r *bpfevent.Record) {
	r.Accepted = true
}
func opened(at int) rec { return func(r *bpfevent.Record) { r.Opened = uint64(began+at) * 1e6 } }
func from(s whose.State) rec {
	return func(r *bpfevent.Record) { r.OldState = uint8(s) }
}
func failed(errno uint32) rec { return func(r *bpfevent.Record) { r.Err = errno } }
func by(comm string, pid uint32) rec {
	return func(r *bpfevent.Record) {
		r.Task = bpfevent.Task{PID: pid, Start: uint64(pid) * 10}
		copy(r.Task.Comm[:], comm)
	}
}
func bytesOf(sent, received uint64) rec {
	return func(r *bpfevent.Record) { r.BytesSent, r.BytesReceived = sent, received }
}
func datagrams(sent, received uint64) rec {
	return func(r *bpfevent.Record) { r.DatagramsSent, r.DatagramsReceived = sent, received }
}
func udp(r *bpfevent.Record) { r.Proto = uint8(whose.UDP) }
func to(remote string) rec {
	return func(r *bpfevent.Record) {
		ap := netip.MustParseAddrPort(remote)
		r.Remote, r.RemotePort = ap.Addr().As16(), ap.Port()
	}
}
func at(local string) rec {
	return func(r *bpfevent.Record) {
		ap := netip.MustParseAddrPort(local)
		r.Local, r.LocalPort = ap.Addr().As16(), ap.Port()
	}
}
func bound(local string) rec {
	return func(r *bpfevent.Record) {
		at(local)(r)
		to("0.0.0.0:0")(r)
	}
}

func addr(s string) [16]byte { return netip.MustParseAddr(s).As16() }

// stood is a session of a snapshot.
func stood(cookie uint64, state whose.State, owners ...whose.Owner) whose.Session {
	s := whose.Session{
		Local: netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), uint16(1000+cookie)), Remote: netip.MustParseAddrPort("10.0.0.2:80"),
		Cookie: cookie, Inode: cookie + 5000, NetNS: 1, Proto: whose.TCP, Family: whose.IPv4, State: state,
		Direction: whose.Out, Owners: owners,
	}
	if s.IsListener() {
		s.Remote, s.Direction = netip.MustParseAddrPort("0.0.0.0:0"), 0
	}
	if len(owners) == 0 {
		s.Reason = whose.ReasonUnheld
	}
	return s
}

func owner(comm string, pid uint32) whose.Owner {
	return whose.Owner{Process: &whose.Process{Comm: comm, PID: pid, StartTime: time.Unix(0, 0).Add(time.Duration(pid) * 10 * source.Tick)}}
}

// sorted compares lines without their order.
var sorted = cmpopts.SortSlices(func(a, b string) bool { return a < b })

func expr(t testing.TB, text string) filter.Expr {
	t.Helper()
	e, err := filter.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return e
}
