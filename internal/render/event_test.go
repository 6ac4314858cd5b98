package render

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/seed-44df2ae6/whose"
)

// happened returns what a format makes of events.
func happened(t testing.TB, format string, opts EventOptions, events []whose.Event) string {
	t.Helper()
	opts.Zone, opts.NetNS = time.UTC, 4026531840
	r, err := NewEvents(format, opts)
	if err != nil {
		t.Fatal(err)
	}
	out := r.Head(nil)
	for i := range events {
		if out, err = r.Event(out, &events[i]); err != nil {
			t.Fatal(err)
		}
	}
	return string(out)
}

func TestEvents_GoldenText(t *testing.T) {
	var screens []txtar.File
	for _, width := range []int{0, 200, 150, 120, 100, 80, 60, 40} {
		screens = append(screens, screen(fmt.Sprintf("%d columns", width),
			happened(t, Text, EventOptions{Width: width}, dayAtWork())))
	}
	screens = append(screens,
		screen("120 columns, colour", happened(t, Text, EventOptions{Width: 120, Color: true}, dayAtWork())),
		screen("120 columns, hostile", happened(t, Text, EventOptions{Width: 120}, hostileEvents())))
	golden(t, "events_text", screens)
}

// TestEvents_EndedWhileWatchBegan: nothing is known of how long it lasted.
func TestEvents_EndedWhileWatchBegan(t *testing.T) {
	for width, want := range map[int]string{0: " closed here, ↑0 B ↓0 B\n", 80: " here ↑0 ↓0\n"} {
		events := []whose.Event{{Kind: whose.EventClose, Lifetime: whose.Lifetime{Closed: noon, End: whose.EndOrderly, By: whose.Here, StoodBefore: true, Counted: true}}}
		events[0].Session.TCP = &whose.TCPInfo{}
		events[0].Session.NetNS = 4026531840
		if got := happened(t, Text, EventOptions{Width: width}, events); !strings.HasSuffix(got, want) {
			t.Errorf("width %d: %q, want it to end in %q", width, got, want)
		}
	}
}

func TestEvents_GoldenPrograms(t *testing.T) {
	var screens []txtar.File
	for _, format := range []string{JSONL, CSV, TSV} {
		screens = append(screens, screen(format, happened(t, format, EventOptions{}, dayAtWork())))
	}
	opts := EventOptions{Fields: fieldsNamed("pid comm netns_name remote_addr")}
	screens = append(screens,
		screen("jsonl, some fields", happened(t, JSONL, opts, dayAtWork()[:4])),
		screen("csv, some fields, hostile", happened(t, CSV, opts, hostileEvents())),
		screen("jsonl, hostile", happened(t, JSONL, opts, hostileEvents())))
	for _, text := range []string{
		`{{.time}} {{.event}} {{endpoint .session.remote_addr .session.remote_port}} {{owners .session.owners}}`,
		`{{if eq .event "close"}}{{.sent.bytes}} {{.received.datagrams}} {{.duration}}{{end}}`,
		`{{json .}}`, `{{with .session}}{{.netns_name}}{{end}} {{.why}}`,
	} {
		screens = append(screens, screen("template "+text, happened(t, Template, EventOptions{Template: text}, dayAtWork()[2:6])))
	}
	golden(t, "events_programs", screens)
}

// No line is wider than the terminal, down to where the head alone fills it.
func TestEvents_TextFits(t *testing.T) {
	for width := 50; width < 230; width += 3 {
		for line := range strings.Lines(happened(t, Text, EventOptions{Width: width}, append(dayAtWork(), hostileEvents()...))) {
			if w := textWidth([]byte(strings.TrimSuffix(line, "\n"))); w > width {
				t.Errorf("a line of %d columns on a terminal of %d: %s", w, width, line)
			}
		}
	}
}

// Once the columns have seen what comes, every line is as the others.
func TestEvents_TextAligned(t *testing.T) {
	for _, width := range []int{0, 200} {
		events := dayAtWork()[2:10]
		first := happened(t, Text, EventOptions{Width: width}, events)
		both := happened(t, Text, EventOptions{Width: width}, append(events, events...))
		at := -1
		for line := range strings.Lines(both[len(first):]) {
			arrow := strings.IndexAny(line, "→←")
			if arrow < 0 {
				t.Fatalf("no arrow: %s", line)
			}
			if column := utf8.RuneCountInString(line[:arrow]); at >= 0 && column != at {
				t.Errorf("the arrow is in column %d, was in %d: %s", column, at, line)
			} else {
				at = column
			}
		}
	}
}

// A terminal that becomes another size gets lines that fit it.
func TestEvents_Resize(t *testing.T) {
	r, err := NewEvents(Text, EventOptions{Width: 200})
	if err != nil {
		t.Fatal(err)
	}
	events := dayAtWork()
	for _, width := range []int{200, 80, 120} {
		r.Resize(width)
		widest := 0
		for i := range events {
			line, err := r.Event(nil, &events[i])
			if err != nil {
				t.Fatal(err)
			}
			widest = max(widest, textWidth(bytes.TrimSuffix(line, []byte("\n"))))
		}
		if widest > width || widest < width-30 {
			t.Errorf("the widest line takes %d of %d columns", widest, width)
		}
	}
}

func TestEvents_Refuse(t *testing.T) {
	for _, test := range []struct {
		format string
		opts   EventOptions
		want   string
	}{
		{"table", EventOptions{}, `format "table" not possible for events`},
		{Text, EventOptions{Fields: fieldsNamed("pid")}, "format text takes no fields"},
		{Template, EventOptions{}, "it is empty"},
		{Template, EventOptions{Template: "{{.local_port}}"}, "local_port"},
		{Template, EventOptions{Template: "{{.session.nothing}}"}, "nothing"},
	} {
		if _, err := NewEvents(test.format, test.opts); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s %+v: error %v, want %q", test.format, test.opts, err, test.want)
		}
	}
}

func TestEventNeeds(t *testing.T) {
	for _, test := range []struct {
		format string
		opts   EventOptions
		want   whose.Needs
	}{
		{Text, EventOptions{}, whose.NeedDefault&^whose.NeedCookie | whose.NeedTCPInfo},
		{JSONL, EventOptions{}, whose.NeedDefault | whose.NeedCmdline | whose.NeedExe | whose.NeedTCPInfo},
		{JSONL, EventOptions{Fields: fieldsNamed("proto")}, 0},
		{Template, EventOptions{Template: "{{.event}} {{range .session.owners}}{{.exe}}{{end}}"}, whose.NeedOwners | whose.NeedExe},
		{Template, EventOptions{Template: "{{.event}}"}, 0},
		{Template, EventOptions{Template: "{{json .session}}"}, whose.NeedDefault},
		{Template, EventOptions{Template: "{{"}, 0},
	} {
		if got := EventNeeds(test.format, test.opts); got != test.want {
			t.Errorf("%s %+v needs %b, want %b", test.format, test.opts, got, test.want)
		}
	}
}

func TestEventUnits(t *testing.T) {
	spans := map[time.Duration][2]string{
		-1: {"0 ns", "0ns"}, 0: {"0 ns", "0ns"}, 999: {"999 ns", "999ns"},
		1500: {"1.5 µs", "1.5µs"}, 999_499: {"999 µs", "999µs"}, 999_500: {"1 ms", "1ms"},
		12_345_678: {"12 ms", "12ms"}, 1_221 * time.Millisecond: {"1.2 s", "1.2s"},
		999_600 * time.Microsecond: {"1 s", "1s"}, 59_400 * time.Millisecond: {"59 s", "59s"},
		59_600 * time.Millisecond: {"1 min", "1m"}, 127 * time.Second: {"2 min 7 s", "2m7s"},
		3*time.Hour + 5*time.Minute: {"3 h 5 min", "3h5m"}, 52 * time.Hour: {"2 d 4 h", "2d4h"},
		time.Hour - time.Millisecond: {"1 h", "1h"}, 24*time.Hour - time.Second: {"1 d", "1d"},
	}
	for d, want := range spans {
		for i, brief := range []bool{false, true} {
			var c cell
			c.span(d, brief)
			if string(c.text) != want[i] || c.width != textWidth(c.text) {
				t.Errorf("%v is %q of width %d, want %q", d, c.text, c.width, want[i])
			}
		}
	}
	sizes := map[uint64][2]string{
		0: {"0 B", "0"}, 999: {"999 B", "999"}, 1000: {"1 kB", "1k"}, 1234: {"1.2 kB", "1.2k"},
		34_567: {"35 kB", "35k"}, 999_499: {"999 kB", "999k"}, 999_500: {"1 MB", "1M"},
		1<<64 - 1: {"18 EB", "18E"},
	}
	for n, want := range sizes {
		for i, brief := range []bool{false, true} {
			var c cell
			c.size(n, brief)
			if string(c.text) != want[i] {
				t.Errorf("%d is %q, want %q", n, c.text, want[i])
			}
		}
	}
}

// The clock writes what package time writes, and remembers no wrong second.
func TestEventClock(t *testing.T) {
	clock := utcClock()
	for _, t1 := range []time.Time{noon, noon.Add(time.Microsecond), noon.Add(time.Second), time.Unix(0, 0), time.Unix(0, 999_999_999), time.Unix(-1, 5)} {
		want := t1.UTC().Format("2006-01-02T15:04:05.000000Z07:00")
		if got := string(clock.append(nil, t1)); got != want {
			t.Errorf("%v is %s, want %s", t1, got, want)
		}
	}
}

// Whatever a process, a user or a namespace is called: one line for an event,
// nothing in it that acts on a terminal, and never wider than that.
func FuzzEvent(f *testing.F) {
	for _, s := range hostile() {
		f.Add(s.User, s.User, uint8(2), uint8(3), 80, uint64(1), int64(time.Second))
	}
	f.Fuzz(func(t *testing.T, comm, user string, kind, end uint8, width int, bytes uint64, took int64) {
		s := session(whose.TCP, whose.Established, "10.0.0.1:1", "[fe80::1]:2", owners(process(1, comm), process(2, user))...)
		s.User, s.NetNSName, s.Scope, s.Peer, s.Direction = user, comm, user, owners(process(3, comm)), whose.Direction(kind%3)
		e := whose.Event{Time: noon, Kind: whose.EventKind(1 + kind%uint8(len(whose.EventKinds()))), Why: comm, Session: s}
		e.Lifetime = whose.Lifetime{Closed: noon, End: whose.End(end), By: whose.Side(end % 4), Errno: uint32(bytes), Duration: time.Duration(took), Counted: end > 0}
		e.Sent.Bytes, e.Received.Datagrams, e.Lost = bytes, bytes, bytes
		if width < 0 || width > 500 {
			width = 80
		}
		for _, format := range []string{Text, JSONL, CSV, TSV} {
			lines := strings.Split(happened(t, format, EventOptions{Width: width, NoHeader: true}, []whose.Event{e}), "\n")
			if len(lines) != 2 || lines[1] != "" {
				t.Errorf("%s: %d lines: %q", format, len(lines), lines)
			}
			for _, r := range lines[0] {
				if r != '\t' && (r < ' ' || r == 0x7f || r == utf8.RuneError && format == Text && !strings.ContainsRune(comm+user, r) || !harmless(r)) {
					t.Errorf("%s: %q holds %q", format, lines[0], r)
				}
			}
			if format == Text && width >= 70 && textWidth([]byte(lines[0])) > width {
				t.Errorf("%d columns on a terminal of %d: %q", textWidth([]byte(lines[0])), width, lines[0])
			}
		}
	})
}

// A line of JSON costs no memory once its process was met.
func TestEvents_NoAllocs(t *testing.T) {
	events := dayAtWork()
	for _, format := range []string{JSONL, Text} {
		r, err := NewEvents(format, EventOptions{Width: 0})
		if err != nil {
			t.Fatal(err)
		}
		var out []byte
		run := func() {
			for i := range events {
				if out, err = r.Event(out[:0], &events[i]); err != nil {
					t.Fatal(err)
				}
			}
		}
		run()
		if n := testing.AllocsPerRun(100, run); n > 0 {
			t.Errorf("%s: %v allocations for %d events", format, n, len(events))
		}
	}
}

// What is remembered of processes is bounded.
func TestEvents_MemoBounded(t *testing.T) {
	r := newEventJSON(DefaultEventFields(JSONL))
	var out []byte
	for pid := range uint32(3 * eventMemo) {
		e := event(0, whose.EventOpen, session(whose.TCP, whose.Established, "10.0.0.1:1", "10.0.0.2:2", owners(process(pid+1, "short"))...))
		out, _ = r.Event(out[:0], &e)
	}
	if n := len(r.session.owners.memo.all); n > eventMemo || n == 0 {
		t.Errorf("%d processes remembered, want at most %d", n, eventMemo)
	}
}

func BenchmarkEvents(b *testing.B) {
	events := dayAtWork()
	for _, format := range []string{JSONL, CSV, Text} {
		for _, width := range []int{0, 120} {
			if width > 0 && format != Text {
				continue
			}
			b.Run(fmt.Sprintf("%s/%d", format, width), func(b *testing.B) {
				r, err := NewEvents(format, EventOptions{Width: width, Color: width > 0})
				if err != nil {
					b.Fatal(err)
				}
				var out bytes.Buffer
				buf := make([]byte, 0, 1<<16)
				b.ReportAllocs()
				for b.Loop() {
					for i := range events {
						buf, _ = r.Event(buf[:0], &events[i])
						out.Reset()
						out.Write(buf)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(events)), "ns/event")
			})
		}
	}
}

// EventFormats and NewEvents know the same.
func TestEventFormats(t *testing.T) {
	var known []string
	for _, format := range append(Formats(), Text) {
		if _, err := NewEvents(format, EventOptions{Template: "{{.event}}"}); err == nil {
			known = append(known, format)
		}
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(EventFormats())), slices.Sorted(slices.Values(known))); diff != "" {
		t.Errorf("formats (-listed +known):\n%s", diff)
	}
}
