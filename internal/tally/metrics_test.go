package tally

import (
	"bytes"
	"fmt"
	"iter"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

// of is a TCP session of a process.
func of(cookie uint64, comm string) whose.Session {
	return whose.Session{
		Proto: whose.TCP, State: whose.Established, Direction: whose.Out, Cookie: cookie,
		Local: netip.MustParseAddrPort("10.0.0.1:40000"), Remote: netip.MustParseAddrPort("10.0.0.2:80"),
		Owners: []whose.Owner{{Process: &whose.Process{PID: 1, Comm: comm, User: "root"}}},
	}
}

func event(kind whose.EventKind, s whose.Session, sent, received uint64) *whose.Event {
	e := &whose.Event{Time: noon, Kind: kind, Session: s}
	if kind == whose.EventClose {
		e.End, e.Counted, e.Duration = whose.EndOrderly, true, time.Second
		e.Sent.Bytes, e.Received.Bytes = sent, received
		e.Session.TCP = &whose.TCPInfo{RTT: time.Millisecond, BytesSent: sent, BytesReceived: received}
	}
	return e
}

// stands is a session with its counters.
func stands(s whose.Session, before bool, sent, received uint64) whose.Session {
	s.Life = &whose.Lifetime{Counted: true, StoodBefore: before, Sent: whose.Traffic{Bytes: sent}, Received: whose.Traffic{Bytes: received}}
	s.TCP = &whose.TCPInfo{BytesSent: sent, BytesReceived: received}
	return s
}

func look(m *Metrics, sessions ...whose.Session) {
	lookWhile(m, func() {}, sessions...)
}

// lookWhile is look, with something that happens meanwhile.
func lookWhile(m *Metrics, do func(), sessions ...whose.Session) {
	m.Look(func() iter.Seq[*whose.Session] {
		do()
		return func(yield func(*whose.Session) bool) {
			for i := range sessions {
				if !yield(&sessions[i]) {
					return
				}
			}
		}
	}, noon)
}

// text writes metrics and checks them by promtool where that is.
func text(t *testing.T, m *Metrics, own ...Figure) string {
	t.Helper()
	var b bytes.Buffer
	if err := m.Write(&b, own, false); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// value returns the sum of the samples that begin so.
func value(t *testing.T, text, sample string) (sum float64) {
	t.Helper()
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, sample+"{") || strings.HasPrefix(line, sample+" ") {
			var v float64
			if _, err := fmt.Sscan(line[strings.LastIndexByte(line, ' ')+1:], &v); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			sum += v
		}
	}
	return sum
}

const sentTotal, receivedTotal = "whose_session_sent_bytes_total", "whose_session_received_bytes_total"

// TestMetrics_Bytes counts each byte once, in whatever order events and looks come.
func TestMetrics_Bytes(t *testing.T) {
	a := of(1, "a")
	for _, c := range []struct {
		name     string
		do       func(m *Metrics)
		sent     float64
		received float64
	}{
		{"short", func(m *Metrics) {
			m.Add(event(whose.EventOpen, a, 0, 0))
			m.Add(event(whose.EventClose, a, 10, 20))
		}, 10, 20},
		{"long", func(m *Metrics) {
			m.Add(event(whose.EventOpen, a, 0, 0))
			look(m, stands(a, false, 3, 4))
			look(m, stands(a, false, 7, 4))
			m.Add(event(whose.EventClose, a, 10, 20))
		}, 10, 20},
		{"still there", func(m *Metrics) {
			m.Add(event(whose.EventOpen, a, 0, 0))
			look(m, stands(a, false, 3, 4))
			look(m, stands(a, false, 3, 4))
		}, 3, 4},
		{"looked at before its opening", func(m *Metrics) {
			look(m, stands(a, false, 3, 4))
			m.Add(event(whose.EventOpen, a, 0, 0))
			look(m, stands(a, false, 5, 5))
			m.Add(event(whose.EventClose, a, 10, 20))
		}, 10, 20},
		{"ended, and its end under way", func(m *Metrics) {
			m.Add(event(whose.EventOpen, a, 0, 0))
			look(m, stands(a, false, 3, 4))
			look(m)
			look(m)
			m.Add(event(whose.EventClose, a, 10, 20))
		}, 10, 20},
		{"ended during a look", func(m *Metrics) {
			m.Add(event(whose.EventOpen, a, 0, 0))
			lookWhile(m, func() { m.Add(event(whose.EventClose, a, 10, 20)) }, stands(a, false, 3, 4))
			look(m)
		}, 10, 20},
		{"stood before", func(m *Metrics) {
			s := a
			s.TCP = &whose.TCPInfo{BytesSent: 100, BytesReceived: 200}
			m.Add(event(whose.EventStanding, s, 0, 0))
			look(m, stands(a, true, 103, 200))
			m.Add(event(whose.EventClose, a, 110, 220))
		}, 10, 20},
		{"stood before, and looked at first", func(m *Metrics) {
			look(m, stands(a, true, 100, 200))
			s := a
			s.TCP = &whose.TCPInfo{BytesSent: 90, BytesReceived: 200}
			m.Add(event(whose.EventStanding, s, 0, 0))
			m.Add(event(whose.EventClose, a, 110, 220))
		}, 10, 20},
		{"stood before, and known by its end alone", func(m *Metrics) {
			e := event(whose.EventClose, a, 110, 220)
			e.StoodBefore = true
			m.Add(e)
		}, 0, 0},
		{"shared", func(m *Metrics) {
			s := a
			s.Owners = append(s.Owners, whose.Owner{Process: &whose.Process{PID: 2, Comm: "b"}})
			m.Add(event(whose.EventOpen, s, 0, 0))
			look(m, stands(s, false, 3, 4))
			m.Add(event(whose.EventClose, s, 10, 20))
		}, 10, 20},
		{"handed over", func(m *Metrics) {
			m.Add(event(whose.EventOpen, a, 0, 0))
			look(m, stands(a, false, 3, 4))
			b := of(1, "b")
			m.Add(event(whose.EventOwned, b, 0, 0))
			m.Add(event(whose.EventClose, b, 10, 20))
		}, 10, 20},
		{"its socket used again", func(m *Metrics) {
			m.Add(event(whose.EventOpen, a, 0, 0))
			look(m, stands(a, false, 3, 4))
			m.Add(event(whose.EventClose, a, 10, 20))
			m.Add(event(whose.EventOpen, a, 0, 0))
			m.Add(event(whose.EventClose, a, 1, 2))
		}, 11, 22},
		{"an older look", func(m *Metrics) {
			m.Add(event(whose.EventOpen, a, 0, 0))
			look(m, stands(a, false, 5, 5))
			look(m, stands(a, false, 3, 4))
			m.Add(event(whose.EventClose, a, 10, 20))
		}, 10, 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := NewMetrics()
			c.do(m)
			got := text(t, m)
			if sent, received := value(t, got, sentTotal), value(t, got, receivedTotal); sent != c.sent || received != c.received {
				t.Errorf("%v bytes sent, %v received; want %v, %v:\n%s", sent, received, c.sent, c.received, got)
			}
			for i := range m.loads {
				if m.loads[i].sessions < 0 {
					t.Errorf("%d sessions of %q", m.loads[i].sessions, m.loads[i].name)
				}
			}
		})
	}
}

// TestHostileMetrics floods the metrics with names: 10,000 make 501 series of a kind, a
// user cannot take the names of root, and no name breaks the text.
func TestHostileMetrics(t *testing.T) {
	tried, wrong := 0, 0
	m := NewMetrics()
	for i := range 10_000 {
		s := of(uint64(i+1), fmt.Sprintf("p%d", i))
		m.Add(event(whose.EventOpen, s, 0, 0))
		m.Add(event(whose.EventClose, s, 1, 1))
		tried++
	}
	got := text(t, m)
	for _, metric := range MetricTable() {
		if metric.bySession == nil {
			continue
		}
		n := 0
		for line := range strings.Lines(got) {
			if strings.HasPrefix(line, metric.Name+"{") {
				n++
			}
		}
		if n != 0 && n != MaxWorkloads+1 {
			wrong++
			t.Errorf("%s has %d series, want %d", metric.Name, n, MaxWorkloads+1)
		}
	}
	if opened := value(t, got, "whose_sessions_opened_total"); opened != 10_000 {
		t.Errorf("%v opened", opened)
	}
	if folded := value(t, got, foldedTotal); folded != 10_000-MaxWorkloads {
		t.Errorf("%v folded", folded)
	}
	m = NewMetrics()
	for i := range 10_000 {
		s := of(uint64(i+1), fmt.Sprintf("p%d", i))
		s.Owners[0].UID, s.Owners[0].User = 1000+uint32(i%3000), "user"
		m.Add(event(whose.EventOpen, s, 0, 0))
		tried++
	}
	m.Add(event(whose.EventOpen, of(1<<40, "nginx"), 0, 0))
	if !strings.Contains(text(t, m), `whose_sessions_opened_total{workload="nginx"`) {
		wrong++
		t.Error("users took the room of root")
	}
	m = NewMetrics()
	names := []string{
		"other", "a\nwhose_up 1", `a"} 1`, `a\`, "a\x1b[2J", "a\xff", "a\xfe", "a\x00", "\u202ea", "", " ", "a,b=\"c\"", strings.Repeat("\xff", 200), "{}", "# EOF",
	}
	for i, name := range names {
		m.Add(event(whose.EventOpen, of(uint64(i+1), name), 0, 0))
		m.Add(&whose.Event{Kind: whose.EventLost, Why: name, Lost: 1})
		tried++
	}
	got = text(t, m)
	if n := strings.Count(got, "whose_sessions_opened_total{"); n != len(names) {
		wrong++
		t.Errorf("%d series of %d names:\n%s", n, len(names), got)
	}
	promtool(t, got)
	testenv.Tried(t, tried, wrong)
}

// promtool checks metrics as Prometheus does.
func promtool(t *testing.T, text string) {
	t.Helper()
	cmd := exec.Command(testenv.NeedProgram(t, "promtool"), "check", "metrics")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool: %v: %s", err, out)
	}
}

func TestMetrics_Promtool(t *testing.T) {
	m := NewMetrics()
	a := of(1, "a")
	m.Add(event(whose.EventOpen, a, 0, 0))
	m.Add(event(whose.EventClose, a, 10, 20))
	m.Add(&whose.Event{Kind: whose.EventFail, Session: a, Lifetime: whose.Lifetime{End: whose.EndRefused, Duration: time.Millisecond}})
	listener := of(2, "a")
	listener.State, listener.Direction, listener.RecvQueue = whose.Listen, 0, 3
	look(m, listener, stands(of(3, "b"), false, 1, 2))
	var own []Figure
	for _, metric := range MetricTable() {
		if metric.bySession == nil && metric.histogram == nil && !strings.HasPrefix(metric.Name, "whose_metrics") && metric.Name != eventsTotal {
			own = append(own, Figure{Name: metric.Name, Values: make([]string, len(metric.Labels)), Value: 1.5e9})
		}
	}
	got := text(t, m, own...)
	promtool(t, got)
	for _, metric := range MetricTable() {
		if metric.Name != "whose_session_retransmitted_segments_total" && !strings.Contains(got, "# TYPE "+metric.Name+" "+string(metric.Kind)+"\n") {
			t.Errorf("%s is not written", metric.Name)
		}
	}
	for _, want := range []string{
		`whose_sessions{workload="a",proto="tcp",state="LISTEN"} 1`,
		`whose_accept_queue_connections{workload="a",proto="tcp"} 3`,
		`whose_connect_failures_total{workload="a",proto="tcp",direction="out",reason="refused"} 1`,
		`whose_session_rtt_seconds_bucket{workload="a",proto="tcp",direction="out",le="0.002"} 1`,
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
}
