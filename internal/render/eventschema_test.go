package render

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/tally"
)

// The committed schema is what is made now.
func TestEventSchema_Fresh(t *testing.T) {
	want, err := EventSchema()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("..", "..", "docs", "schema", "whose-event-v1.schema.json")
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got = bytes.ReplaceAll(got, []byte("\r\n"), []byte("\n"))
	if diff := cmp.Diff(string(got), string(want)); diff != "" {
		t.Errorf("%s is stale, run `go test ./internal/render -update` (-committed +now):\n%s", path, diff)
	}
}

// compileEvents returns the schema of a line, so strict that it refuses keys
// that it does not know.
func compileEvents(t testing.TB) *jsonschema.Schema {
	t.Helper()
	raw, err := EventSchema()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	forbidOthers(doc)
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("event.json", doc); err != nil {
		t.Fatal(err)
	}
	return c.MustCompile("event.json")
}

func TestEvents_MeetSchema(t *testing.T) {
	schema := compileEvents(t)
	everything := whose.Event{Kind: whose.EventClose, Time: noon, Session: *sampleSession()}
	events := append(append(dayAtWork(), hostileEvents()...), everything)
	for _, fields := range [][]*whose.Field{nil, whose.Fields(), fieldsNamed("pid rtt")} {
		for line := range strings.Lines(happened(t, JSONL, EventOptions{Fields: fields}, events)) {
			validate(t, schema, line)
		}
	}
	for _, s := range []*tally.Summary{{}, busyDay()} {
		validate(t, schema, summarized(t, JSONL, s, Options{}))
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(`{"version":1,"time":"2026-03-01T14:03:07Z","event":"opne","session":{}}`))
	if err != nil {
		t.Fatal(err)
	}
	if schema.Validate(doc) == nil {
		t.Error("the schema takes an event that does not exist")
	}
}

// The example in docs/watch.md is an event.
func TestEventSchema_Example(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "watch.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(page), "```json")
	example, _, _ := strings.Cut(after, "```")
	if !found {
		t.Fatal("docs/watch.md has no example")
	}
	validate(t, compileEvents(t), example)
}

func summarized(t testing.TB, format string, s *tally.Summary, opts Options) string {
	t.Helper()
	var b bytes.Buffer
	if err := Summary(&b, format, s, opts); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// busyDay is a summary with something in each list.
func busyDay() *tally.Summary {
	s := &tally.Summary{Took: 30 * time.Second, Source: "bpf", Beyond: 3, MoreProcesses: 7, MoreFailures: 1}
	s.Gaps = whose.Gaps{{Kind: whose.GapEvents, Cause: whose.CauseLost, Count: 12, Detail: "ring buffer full"}}
	s.Gaps.Add(whose.Gap{Kind: whose.GapTraffic, Cause: whose.CauseUnsupported, Count: 2, Detail: "the source does not count their bytes"})
	s.Uncounted = 2
	s.Counts[whose.EventOpen], s.Counts[whose.EventClose], s.Counts[whose.EventFail] = 1234, 1230, 4
	remote := netip.MustParseAddrPort("[2001:db8::7]:443")
	curl := tally.Actor{Comm: "curl"}
	s.Processes = []tally.Group[tally.Actor, tally.Traffic]{
		{Key: curl, Sum: tally.Traffic{Out: 1200, Failed: 4, Sent: 12_345, Received: 987_654_321}},
		{Key: tally.Actor{Comm: "a\nb"}, Sum: tally.Traffic{In: 30, Stood: 2, Sent: 1200, Uncounted: 1}},
		{Sum: tally.Traffic{Out: 1, Uncounted: 1}},
	}
	s.Remotes = []tally.Group[netip.Addr, tally.Traffic]{
		{Key: remote.Addr(), Sum: tally.Traffic{Out: 1200, Failed: 4, Sent: 1, Received: 2}},
	}
	refused := tally.Failure{
		Actor: tally.Actor{Comm: "ssh"}, Proto: whose.TCP, Remote: netip.MustParseAddrPort("10.0.0.9:22"),
		End: whose.EndRefused, Errno: 111,
	}
	s.Failures = []tally.Group[tally.Failure, uint64]{{Key: refused, Sum: 3}, {Sum: 1}}
	s.Busiest = []tally.Load{
		{Actor: curl, PID: 4711, Proto: whose.TCP, Direction: whose.Out, Local: netip.MustParseAddrPort("10.0.0.5:52144"), Remote: remote, Sent: 1 << 40, Received: 7, Took: 12 * time.Second, Stood: true, Open: true},
		{},
	}
	return s
}

func TestSummary_Golden(t *testing.T) {
	var screens []txtar.File
	for _, width := range []int{0, 120, 60} {
		screens = append(screens, screen("summary", summarized(t, Text, busyDay(), Options{Width: width})))
	}
	screens = append(screens,
		screen("colour", summarized(t, Text, busyDay(), Options{Width: 100, Color: true})),
		screen("nothing", summarized(t, Text, &tally.Summary{Took: time.Second}, Options{Width: 80})),
		screen("stood", summarized(t, Text, &tally.Summary{Took: time.Second, Busiest: busyDay().Busiest[:1]}, Options{Width: 80})),
		screen("no traffic", summarized(t, Text, &tally.Summary{NoTraffic: true, Processes: busyDay().Processes}, Options{Width: 80})),
		screen("jsonl", summarized(t, JSONL, busyDay(), Options{})))
	golden(t, "events_summary", screens)
}
