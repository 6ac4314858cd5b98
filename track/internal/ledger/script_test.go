package ledger

import (
	"cmp"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/track/internal/bpfevent"
	"github.com/seed-44df2ae6/whose/track/internal/script"
)

// A bench is an engine whose events are written down as lines.
type bench struct {
	t     testing.TB
	g     *Engine
	lines []string
}

const began = script.Began

// asEvents returns what an engine gives its events to, so that fn sees them as
// a reader does.
func asEvents(fn func(*whose.Event)) func([]Event) {
	return func(events []Event) {
		for i := range events {
			var e whose.Event
			events[i].Write(&e, func() *whose.TCPInfo { return new(whose.TCPInfo) })
			fn(&e)
		}
	}
}

func newBench(t testing.TB, w Want) *bench { return newBenchOf(t, w, 1000) }

// ofAll returns what is wanted with all protocols, families and events where
// it names none.
func ofAll(w Want) Want {
	w.Protos = cmp.Or(w.Protos, whose.AllProtos)
	w.Families = cmp.Or(w.Families, whose.AllFamilies)
	w.Kinds = cmp.Or(w.Kinds, whose.SetOf(whose.EventKinds()...))
	return w
}

func newBenchOf(t testing.TB, w Want, limit int) *bench {
	w = ofAll(w)
	b := &bench{t: t}
	b.g = New(limit, NewNames(nil, w.Needs), w, asEvents(func(e *whose.Event) { b.lines = append(b.lines, lineOf(e)) }))
	b.g.Began, b.g.HealAfter = began*1e6, 0
	b.g.Base = int64(-began * time.Millisecond)
	return b
}

// begin merges a snapshot with the records that came meanwhile.
func (b *bench) begin(snapshot []whose.Session, meanwhile ...bpfevent.Record) {
	for _, s := range b.g.Begin(snapshot, meanwhile) {
		b.lines = append(b.lines, lineOf(&whose.Event{Kind: whose.EventStanding, Session: s}))
	}
}

func (b *bench) apply(records ...bpfevent.Record) {
	for i := range records {
		b.g.Apply(&records[i])
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
	for _, s := range b.g.Ask(where, filter.Env{}, 0).AppendAll(nil) {
		all = append(all, sessionLine(&s))
	}
	return all
}

// The words of the script.
var (
	record, stood, owner     = script.Record, script.Stood, script.Owner
	lineOf, sessionLine      = script.EventLine, script.SessionLine
	out, wasAccepted, udp    = script.Out, script.Accepted, script.UDP
	opened, from, failed, by = script.Opened, script.From, script.Failed, script.By
	bytesOf, datagrams       = script.Bytes, script.Datagrams
	to, at, bound, addr      = script.To, script.At, script.Bound, script.Addr
	queued                   = script.Queued
)

type rec = script.Fact

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
