package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/render"
)

// A fakeStream gives out events and then waits until it is closed, as a tracker.
type fakeStream struct {
	events []whose.Event
	err    error
	once   sync.Once
	closed chan struct{}
}

func newFakeStream(events ...whose.Event) *fakeStream {
	return &fakeStream{events: events, closed: make(chan struct{})}
}

func (s *fakeStream) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

func (s *fakeStream) Each(ctx context.Context, fn func(*whose.Event) bool) error {
	for len(s.events) > 0 && ctx.Err() == nil {
		e := s.events[0]
		s.events = s.events[1:]
		if !fn(&e) {
			return nil
		}
	}
	if s.err != nil {
		return s.err
	}
	select {
	case <-ctx.Done():
	case <-s.closed:
	}
	return nil
}

// someEvents are n connections of one process, opened and closed.
func someEvents(n int) []whose.Event {
	curl := &whose.Process{PID: 4711, Comm: "curl"}
	var all []whose.Event
	for i := range n {
		s := whose.Session{
			Proto: whose.TCP, Family: whose.IPv4, Direction: whose.Out, User: "sergey",
			Local:  netip.AddrPortFrom(netip.MustParseAddr("10.0.0.5"), uint16(40000+i)),
			Remote: netip.MustParseAddrPort("93.184.215.14:443"), Owners: []whose.Owner{{Process: curl}},
		}
		at := time.Date(2026, 3, 1, 14, 3, 7, i*1_000_000, time.UTC)
		all = append(all, whose.Event{Kind: whose.EventOpen, Time: at, Session: s})
		closed := whose.Event{Kind: whose.EventClose, Time: at, Session: s, Lifetime: whose.Lifetime{
			Closed: at, Duration: time.Second, End: whose.EndOrderly, By: whose.There, Counted: true,
		}}
		closed.Sent.Bytes, closed.Received.Bytes = uint64(i), 10
		all = append(all, closed)
	}
	return all
}

// watching is a watch with these arguments that writes to out.
func watching(t *testing.T, out io.Writer, args ...string) *watch {
	t.Helper()
	return watchingIn(t, &shell{out: out, err: io.Discard, getenv: func(string) string { return "" }}, args...)
}

func watchingIn(t *testing.T, sh *shell, args ...string) *watch {
	t.Helper()
	w := &watch{sh: sh}
	cmd := newWatch(w.sh)
	cmd.ResetFlags()
	w.addFlags(cmd)
	cmd.Flags().String("pin-dir", "", "")
	cmd.Flags().String("color", colorAuto, "")
	if err := cmd.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	if _, err := w.settle(cmd, cmd.Flags().Args()); err != nil {
		t.Fatal(err)
	}
	return w
}

// run shows what a stream gives until --for is over.
func showAll(t *testing.T, stream *fakeStream, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	w := watching(t, &out, append([]string{"--for", "50ms"}, args...)...)
	err := w.show(t.Context(), func() {}, stream)
	return out.String(), err
}

func TestWatch_Lines(t *testing.T) {
	out, err := showAll(t, newFakeStream(someEvents(2)...))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if len(lines) != 4 || !strings.Contains(lines[0], "open   out tcp curl 4711 (sergey)") ||
		!strings.HasSuffix(lines[3], "closed by remote after 1 s, ↑1 B ↓10 B") {
		t.Errorf("wrote %q", out)
	}
}

func TestWatch_Formats(t *testing.T) {
	for _, test := range []struct {
		args, first string
		lines       int
	}{
		{"-o jsonl", `{"version":1,"time":"2026-03-01T14:03:07.000000Z","event":"open",`, 4},
		{"-o csv", "time,event,", 5},
		{"-o tsv -H --fields pid", "2026-03-01T14:03:07.000000Z\topen\t", 4},
		{"--template {{.event}}:{{.session.local_port}}", "open:40000", 4},
	} {
		out, err := showAll(t, newFakeStream(someEvents(2)...), strings.Fields(test.args)...)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(out, "\n"); n != test.lines || !strings.HasPrefix(out, test.first) {
			t.Errorf("%s: %d lines %q, want %d that begin with %q", test.args, n, out, test.lines, test.first)
		}
	}
}

func TestWatch_Status(t *testing.T) {
	lost := whose.Event{Kind: whose.EventLost, Lost: 3, Cause: whose.CauseLost, Why: "ring buffer full"}
	broken := newFakeStream(someEvents(1)...)
	broken.err = errors.New("read ring buffer: it broke")
	for _, test := range []struct {
		name   string
		stream *fakeStream
		args   []string
		code   int
	}{
		{"something", newFakeStream(someEvents(1)...), nil, exitFound},
		{"nothing", newFakeStream(), nil, exitNothing},
		{"a loss alone", newFakeStream(lost), nil, exitNothing},
		{"a loss, strictly", newFakeStream(append(someEvents(1), lost)...), []string{"--strict"}, exitPartial},
		{"broken", broken, nil, exitFailed},
		{"a template that fails", newFakeStream(someEvents(1)...), []string{"--template", `{{index .session.owners 7}}`}, exitUsage},
	} {
		_, err := showAll(t, test.stream, test.args...)
		sh := &shell{err: io.Discard, getenv: os.Getenv}
		if code := sh.report(err); code != test.code {
			t.Errorf("%s: exit status %d (%v), want %d", test.name, code, err, test.code)
		}
	}
}

// A loss is told whatever is asked for.
func TestWatch_LossAlwaysTold(t *testing.T) {
	lost := whose.Event{Kind: whose.EventLost, Lost: 1234, Cause: whose.CauseLost, Why: "ring buffer full"}
	for _, format := range []string{render.Text, render.JSONL, render.CSV} {
		out, err := showAll(t, newFakeStream(lost), "-o", format, "--events", "listen")
		var status statusError
		if !errors.As(err, &status) {
			t.Fatal(err)
		}
		if !strings.Contains(out, "1234") || !strings.Contains(out, "ring buffer full") {
			t.Errorf("%s: wrote %q", format, out)
		}
	}
}

// Ctrl-C ends it at once, with what was shown until then and the summary.
func TestWatch_Interrupted(t *testing.T) {
	for _, args := range [][]string{nil, {"--summary"}} {
		stream := newFakeStream(someEvents(3)...)
		var out syncBuffer
		w := watching(t, &out, args...)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		stopped := false
		go func() { ended <- w.show(ctx, func() { stopped = true }, stream) }()
		out.waitFor(t, "↑2 B")
		cancel()
		select {
		case err := <-ended:
			if !errors.Is(err, context.Canceled) || !stopped {
				t.Errorf("%v: ended with %v, signals given back: %v", args, err, stopped)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("it does not end")
		}
		if got := strings.Contains(out.String(), "3 open, 3 close"); got != (args != nil) {
			t.Errorf("%v: wrote %q", args, out.String())
		}
	}
}

// A reader that takes nothing does not keep Ctrl-C from ending it.
func TestWatch_InterruptedWhileBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		w := watching(t, blockedWriter(free))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		stream := newFakeStream(someEvents(20_000)...) // more than the spool holds
		began := time.Now()
		go func() { ended <- w.show(ctx, func() {}, stream) }()
		synctest.Wait()
		if len(stream.events) == 0 {
			t.Error("all events were taken though nobody reads")
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %v to end", took)
		}
		close(free)
		synctest.Wait()
	})
}

type blockedWriter chan struct{}

func (b blockedWriter) Write(p []byte) (int, error) {
	<-b
	return len(p), nil
}

// A writer that fails ends it.
func TestWatch_WriteFails(t *testing.T) {
	full := errors.New("no space left on device")
	w := watching(t, failingWriter{full})
	err := w.show(t.Context(), func() {}, newFakeStream(someEvents(1)...))
	if !errors.Is(err, full) || !strings.HasPrefix(err.Error(), "write output: ") {
		t.Errorf("error %v", err)
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

func TestWatch_Quiet(t *testing.T) {
	var out bytes.Buffer
	w := watching(t, &out, "-q")
	stream := newFakeStream(append([]whose.Event{{Kind: whose.EventLost, Lost: 1}}, someEvents(5)...)...)
	if err := w.show(t.Context(), func() {}, stream); err != nil || out.Len() > 0 {
		t.Errorf("error %v, wrote %q", err, out.String())
	}
	if len(stream.events) != 9 {
		t.Errorf("%d events left, want 9: the first event ends it", len(stream.events))
	}
	text, err := showAll(t, newFakeStream(someEvents(5)...), "-q", "--summary")
	if err != nil || !strings.HasPrefix(text, "In ") || strings.Contains(text, "14:03:07") {
		t.Errorf("error %v, wrote %q", err, text)
	}
}

func TestWatch_SummaryJSON(t *testing.T) {
	fail := someEvents(1)[0]
	fail.Kind, fail.End, fail.Errno = whose.EventFail, whose.EndRefused, 111
	text, err := showAll(t, newFakeStream(append(someEvents(5), fail, fail)...), "-o", "jsonl", "--summary", "--top", "2")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	var last struct {
		Summary struct {
			Events    map[string]int
			ByProcess []map[string]any `json:"by_process"`
			ByRemote  []map[string]any `json:"by_remote"`
			Failed    []map[string]any
			Busiest   []map[string]any
		}
	}
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
		t.Fatal(err)
	}
	s := &last.Summary
	tally := map[string]any{"comm": "curl", "out": 5., "in": 0., "failed": 2., "sent": 10., "received": 50.}
	if diff := cmp.Diff([]map[string]any{tally}, s.ByProcess); diff != "" {
		t.Errorf("by process (-want +got):\n%s", diff)
	}
	delete(tally, "comm")
	tally["remote_addr"] = "93.184.215.14"
	if diff := cmp.Diff([]map[string]any{tally}, s.ByRemote); diff != "" {
		t.Errorf("by remote (-want +got):\n%s", diff)
	}
	if len(lines) != 13 || s.Events["close"] != 5 || len(s.Failed) != 1 || s.Failed[0]["count"] != 2. || len(s.Busiest) != 2 || s.Busiest[0]["sent"] != 4. {
		t.Errorf("%d lines, the last: %s", len(lines), lines[len(lines)-1])
	}
}

// A syncBuffer is a buffer that others may look into.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (b *syncBuffer) waitFor(t *testing.T, want string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if strings.Contains(b.String(), want) {
			return
		}
	}
	t.Fatalf("no %q in %q", want, b.String())
}

// BenchmarkWatch is the whole way of an event from the tracker to a file.
func BenchmarkWatch(b *testing.B) {
	const n = 20_000
	events := someEvents(n / 2)
	for _, format := range []string{render.JSONL, render.Text} {
		b.Run(format, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w := &watch{sh: &shell{out: io.Discard, err: io.Discard, getenv: func(string) string { return "" }}}
				r, err := render.NewEvents(format, render.EventOptions{})
				if err != nil {
					b.Fatal(err)
				}
				w.renderer = r
				stream := newFakeStream(events...)
				_ = stream.Close()
				if err := w.show(b.Context(), func() {}, stream); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/event")
		})
	}
}
