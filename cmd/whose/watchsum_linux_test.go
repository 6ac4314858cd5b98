package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// TestWatch_SummaryTraffic: the summary knows what went over each session since the
// watch began, whatever became of it: over those that stood before, those that are
// still open, and those that came and went, both ways and to the byte.
func TestWatch_SummaryTraffic(t *testing.T) {
	for _, source := range []string{"bpf", "netlink", "snapshot"} {
		t.Run(source, func(t *testing.T) {
			if source == "bpf" {
				testenv.NeedRoot(t)
				testenv.NeedKernel(t, 6, 1, "BPF programs that follow sessions")
			}
			checkTraffic(t, source)
		})
	}
}

func checkTraffic(t *testing.T, source string) {
	stood, idle, closed := dialPair(t), dialPair(t), dialPair(t)
	flow := udpPair(t)
	stood.say(t, 1000, 200)
	idle.say(t, 500, 500)
	closed.say(t, 900, 10)
	flow.say(t, 50, 50)
	l := startSummary(t, source)

	stood.say(t, 300, 70)
	opened := dialPair(t)
	opened.say(t, 5000, 11)
	l.waitForOpen(t, opened)
	want := []sessionTraffic{
		stood.traffic(300, 70, true, true), stood.back(300, 70, true, true),
		opened.traffic(5000, 11, false, true), opened.back(5000, 11, false, true),
	}
	if source != "snapshot" { // it sees no counters of what is gone
		closed.say(t, 33, 4)
		closed.reset(t)
		l.waitForClose(t, closed)
		want = append(want, closed.back(33, 4, true, false))
		if source == "bpf" { // the kernel clears the counters of the end that resets before it reports it
			want = append(want, closed.traffic(33, 4, true, false))
		}
	}
	if source == "bpf" {
		brief := dialPair(t)
		brief.say(t, 40, 7)
		brief.end(t)
		l.waitForClose(t, brief)
		flow.say(t, 25, 3)
		young := udpPair(t)
		young.say(t, 9, 8)
		l.waitForOpen(t, young)
		want = append(want, brief.traffic(40, 7, false, false), brief.back(40, 7, false, false),
			flow.traffic(25, 3, true, true), flow.back(25, 3, true, true),
			young.traffic(9, 8, false, true), young.back(9, 8, false, true))
	}
	got := l.summary(t)
	order := func(a, b sessionTraffic) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) }
	slices.SortFunc(want, order)
	slices.SortFunc(got.Busiest, order)
	if diff := cmp.Diff(want, got.Busiest); diff != "" {
		t.Errorf("busiest sessions (-want +got):\n%s", diff)
	}
	var sum sessionTraffic
	for _, s := range want {
		sum.Sent += s.Sent
		sum.Received += s.Received
	}
	if len(got.ByProcess) != 1 || *got.ByProcess[0].Sent != sum.Sent || *got.ByProcess[0].Received != sum.Received {
		t.Errorf("by process %+v, want %d bytes sent and %d received", got.ByProcess, sum.Sent, sum.Received)
	}
	if uncounted := got.ByProcess[0].Uncounted; source == "bpf" && uncounted != 0 {
		t.Errorf("%d sessions are uncounted", uncounted)
	}
	var gap bool
	for _, g := range got.Partial {
		gap = gap || g.Kind == "traffic"
	}
	if gap != (source != "bpf") { // UDP is counted by the programs alone
		t.Errorf("gaps %+v", got.Partial)
	}
}

// A sessionTraffic is an entry of the busiest sessions.
type sessionTraffic struct {
	Proto      string `json:"proto"`
	LocalPort  int    `json:"local_port"`
	RemotePort int    `json:"remote_port"`
	Sent       int    `json:"sent"`
	Received   int    `json:"received"`
	Stood      bool   `json:"stood_before"`
	Open       bool   `json:"open"`
}

// A summaryLine is the last line of whose watch -o jsonl --summary.
type summaryLine struct {
	Busiest   []sessionTraffic `json:"busiest"`
	ByProcess []struct {
		Comm           string
		Stood          int
		Sent, Received *int
		Uncounted      int
	} `json:"by_process"`
	Partial []struct{ Kind, Why string }
}

// Ends are both ends of a session in this process.
type ends struct {
	proto string
	c, s  net.Conn
}

// dialPair connects over TCP.
func dialPair(t *testing.T) ends {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); s.Close() })
	return ends{"tcp", c, s}
}

// udpPair connects two UDP sockets.
func udpPair(t *testing.T) ends {
	t.Helper()
	one, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	here := one.LocalAddr().(*net.UDPAddr)
	c, err := net.DialUDP("udp4", nil, here)
	if err != nil {
		t.Fatal(err)
	}
	one.Close()
	s, err := net.DialUDP("udp4", here, c.LocalAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); s.Close() })
	return ends{"udp", c, s}
}

// say sends bytes one way and the other, and reads them.
func (e ends) say(t *testing.T, there, back int) {
	t.Helper()
	for _, way := range []struct {
		from, to net.Conn
		n        int
	}{{e.c, e.s, there}, {e.s, e.c, back}} {
		if _, err := way.from.Write(make([]byte, way.n)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(way.to, make([]byte, way.n)); err != nil {
			t.Fatal(err)
		}
	}
}

func (e ends) end(t *testing.T) {
	t.Helper()
	for _, c := range []net.Conn{e.c, e.s} {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// reset ends the session without a FIN.
func (e ends) reset(t *testing.T) {
	t.Helper()
	if err := e.c.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	e.end(t)
}

func portNumber(a net.Addr) int {
	switch a := a.(type) {
	case *net.TCPAddr:
		return a.Port
	case *net.UDPAddr:
		return a.Port
	}
	return 0
}

// traffic is the entry of the client's end, back of the other.
func (e ends) traffic(sent, received int, stood, open bool) sessionTraffic {
	return sessionTraffic{e.proto, portNumber(e.c.LocalAddr()), portNumber(e.c.RemoteAddr()), sent, received, stood, open}
}

func (e ends) back(there, back int, stood, open bool) sessionTraffic {
	return sessionTraffic{e.proto, portNumber(e.s.LocalAddr()), portNumber(e.s.RemoteAddr()), back, there, stood, open}
}

// A summaryWatch is a running whose watch -o jsonl --summary of this process.
type summaryWatch struct {
	cmd *exec.Cmd
	out *syncBuffer
}

// startSummary returns when the sessions that stand have been reported.
func startSummary(t *testing.T, source string) *summaryWatch {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	w := &summaryWatch{exec.Command(exe, "watch", "-o", "jsonl", "--summary", "--top", "100", "--source", source, "pid", fmt.Sprint(os.Getpid())), new(syncBuffer)}
	w.cmd.Args[0] = "whose"
	w.cmd.Stdout, w.cmd.Stderr = w.out, os.Stderr
	if err := testenv.Start(t, w.cmd); err != nil {
		t.Fatal(err)
	}
	w.out.waitFor(t, `"event":"standing"`)
	return w
}

func (w *summaryWatch) waitForOpen(t *testing.T, e ends) { w.waitFor(t, "open", e) }

func (w *summaryWatch) waitForClose(t *testing.T, e ends) { w.waitFor(t, "close", e) }

// waitFor waits for the event of both ends.
func (w *summaryWatch) waitFor(t *testing.T, event string, e ends) {
	t.Helper()
	for _, c := range []net.Conn{e.c, e.s} {
		waitForLine(t, w.out, fmt.Sprintf(`"event":%q`, event), fmt.Sprintf(`"local_port":%d,`, portNumber(c.LocalAddr())),
			fmt.Sprintf(`"remote_port":%d,`, portNumber(c.RemoteAddr())))
	}
}

// waitForLine waits for a line with all of these.
func waitForLine(t *testing.T, out *syncBuffer, words ...string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		for line := range strings.Lines(out.String()) {
			if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
				return
			}
		}
	}
	t.Fatalf("no line with %q in\n%s", words, out.String())
}

// summary ends the watch and returns its last line.
func (w *summaryWatch) summary(t *testing.T) summaryLine {
	t.Helper()
	if err := w.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = w.cmd.Wait() // the last line says whether it ended well
	lines := strings.Split(strings.TrimSuffix(w.out.String(), "\n"), "\n")
	var last struct{ Summary *summaryLine }
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || last.Summary == nil {
		t.Fatalf("no summary: %v, %s", err, lines[len(lines)-1])
	}
	return *last.Summary
}
