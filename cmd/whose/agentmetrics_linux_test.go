package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// A scraped agent serves metrics.
type scraped struct {
	*managed
	url string
}

func startScraped(t *testing.T, dir string, args ...string) *scraped {
	t.Helper()
	m := startManaged(t, dir, append([]string{"--history=off", "--metrics=127.0.0.1:0"}, args...))
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if url := regexp.MustCompile(`http://\S+/metrics`).FindString(m.said()); url != "" {
			return &scraped{m, url}
		}
	}
	t.Fatalf("no address of metrics: %s", m.said())
	return nil
}

// scrape fetches the metrics, by a process of another name: its bytes count, too.
func (s *scraped) scrape() string {
	s.t.Helper()
	host, port, err := net.SplitHostPort(strings.TrimSuffix(strings.TrimPrefix(s.url, "http://"), "/metrics"))
	if err != nil {
		s.t.Fatal(err)
	}
	const get = `exec 3<>/dev/tcp/$0/$1; printf 'GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3; cat <&3`
	out, err := exec.CommandContext(s.t.Context(), "bash", "-c", get, host, port).Output()
	head, text, _ := strings.Cut(string(out), "\r\n\r\n")
	if err != nil || !strings.HasPrefix(head, "HTTP/1.0 200 OK\r\n") {
		s.t.Fatalf("%v: %s", err, out)
	}
	return text
}

// sumOf adds up the samples of a metric of a workload with a label.
func sumOf(text, metric, workload, label string) (sum float64) {
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "} ")
		if strings.HasPrefix(name, metric+`{workload="`+workload+`",`) && strings.Contains(name, label) {
			var n float64
			_, _ = fmt.Sscan(value, &n)
			sum += n
		}
	}
	return sum
}

// until scrapes until ok, which it waits for.
func (s *scraped) until(what string, ok func(text string) bool) string {
	s.t.Helper()
	var text string
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if text = s.scrape(); ok(text) {
			return text
		}
	}
	s.t.Fatalf("%s: never seen in two minutes:\n%s", what, text)
	return ""
}

// callMyself gives this process a name that no other has.
func callMyself(t *testing.T, name string) {
	t.Helper()
	old, err := os.ReadFile("/proc/self/comm")
	if err == nil {
		err = os.WriteFile("/proc/self/comm", []byte(name), 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.WriteFile("/proc/self/comm", []byte(strings.TrimSpace(string(old))), 0) })
}

// TestAgent_Rates moves known numbers of bytes over short and long sessions, over one
// that stood before and over one that a second process shares, and wants the counters to
// say exactly these numbers, at each scrape and at the end.
func TestAgent_Rates(t *testing.T) {
	testenv.NeedRoot(t)
	testenv.NeedCap(t, unix.CAP_BPF, unix.CAP_SYS_ADMIN)
	dir := buildBoth(t)
	me := fmt.Sprintf("rates-%d", os.Getpid())
	callMyself(t, me)
	ns := testenv.NewNetNS(t)
	var server net.Listener
	var err error
	ns.Do(func() { server, err = net.Listen("tcp4", "127.0.0.1:0") })
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	r := rand.New(rand.NewPCG(1, uint64(os.Getpid())))
	var sent, received float64 // by those who connected
	move := func(from, to net.Conn) float64 {
		t.Helper()
		n := 1 + r.IntN(100_000)
		done := make(chan error, 1)
		go func() {
			_, err := io.CopyN(io.Discard, to, int64(n))
			done <- err
		}()
		if _, err := from.Write(make([]byte, n)); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		return float64(n)
	}
	dial := func() (client, accepted *net.TCPConn) {
		t.Helper()
		var c net.Conn
		ns.Do(func() { c, err = net.Dial("tcp4", server.Addr().String()) })
		if err != nil {
			t.Fatal(err)
		}
		a, err := server.Accept()
		if err != nil {
			t.Fatal(err)
		}
		return c.(*net.TCPConn), a.(*net.TCPConn)
	}
	both := func(c, a net.Conn) {
		t.Helper()
		sent += move(c, a)
		received += move(a, c)
	}
	old, oldEnd := dial()
	move(old, oldEnd) // nobody counts that
	s := startScraped(t, dir)
	check := func(text, when string) {
		t.Helper()
		for _, c := range []struct {
			metric, direction string
			want              float64
		}{
			{"whose_session_sent_bytes_total", "out", sent}, {"whose_session_received_bytes_total", "out", received},
			{"whose_session_sent_bytes_total", "in", received}, {"whose_session_received_bytes_total", "in", sent},
		} {
			if got := sumOf(text, c.metric, me, `direction="`+c.direction+`"`); got != c.want {
				t.Errorf("%s: %s of direction %s is %v, want %v", when, c.metric, c.direction, got, c.want)
			}
		}
	}
	exact := func(text string) bool {
		return sumOf(text, "whose_session_sent_bytes_total", me, `direction="out"`) >= sent &&
			sumOf(text, "whose_session_sent_bytes_total", me, `direction="in"`) >= received
	}
	long, longEnd := dial()
	shared, sharedEnd := dial()
	file, err := shared.File()
	if err != nil {
		t.Fatal(err)
	}
	holder := exec.Command("sleep", "600")
	holder.ExtraFiles = []*os.File{file}
	if err := testenv.Start(t, holder); err != nil {
		t.Fatal(err)
	}
	file.Close()
	for round := range 4 {
		both(old, oldEnd)
		both(long, longEnd)
		both(shared, sharedEnd)
		for range 10 {
			c, a := dial()
			both(c, a)
			c.Close()
			a.Close()
		}
		check(s.until("all bytes", exact), fmt.Sprintf("round %d", round))
	}
	_ = holder.Process.Kill()
	_ = holder.Wait() // it was killed
	for _, c := range []net.Conn{old, oldEnd, long, longEnd, shared, sharedEnd} {
		c.Close()
	}
	text := s.until("all ends", func(text string) bool { return sumOf(text, "whose_sessions_closed_total", me, "") == 2*(3+4*10) })
	check(text, "at the end")
	if opened := sumOf(text, "whose_sessions_opened_total", me, ""); opened != 2*(2+4*10) {
		t.Errorf("%v opened, want %d", opened, 2*(2+4*10))
	}
	promtool := exec.Command(testenv.NeedProgram(t, "promtool"), "check", "metrics")
	promtool.Stdin = strings.NewReader(text)
	if out, err := promtool.CombinedOutput(); err != nil {
		t.Errorf("promtool: %v: %s", err, out)
	}
	for _, metric := range []string{"process_resident_memory_bytes", "process_cpu_seconds_total", "whose_build_info", "whose_behind_seconds", "whose_events_total", `whose_table_entries{table="sessions"}`} {
		if !strings.Contains(text, "\n"+metric) {
			t.Errorf("no %s in\n%s", metric, text)
		}
	}
}
