package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/render"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

func TestSeconds(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"2": 2 * time.Second, "0.5": 500 * time.Millisecond, "2s": 2 * time.Second,
		"500ms": 500 * time.Millisecond, "1m": time.Minute, "0": 0,
	} {
		var s seconds
		if err := s.Set(text); err != nil || time.Duration(s) != want {
			t.Errorf("%q is %v, %v; want %v", text, time.Duration(s), err, want)
		}
	}
	for _, text := range []string{"", "soon", "-1", "-1s", "nan", "inf", "1e400", "2 s"} {
		var s seconds
		if err := s.Set(text); err == nil {
			t.Errorf("%q is taken for %v", text, time.Duration(s))
		}
	}
}

// TestParseFilter_Quotes: what the shell took the quotes off is one value where
// a value has to stand, and a piece of the expression elsewhere.
func TestParseFilter_Quotes(t *testing.T) {
	for _, test := range []struct {
		words []string
		want  string
	}{
		{[]string{"process", "Web Content"}, `process "Web Content"`},
		{[]string{"process", "=", "Web Content", "and", "tcp"}, `process = "Web Content" and tcp`},
		{[]string{"process", "~", `^\d a$`}, `process ~ "^\\d a$"`},
		{[]string{"not", "state established"}, "not state established"},
		{[]string{"tcp", "and", "state established or udp"}, "tcp and state established or udp"},
		{[]string{"rtt", "> 50ms"}, "rtt > 50ms"},
		{[]string{"process", "in (a, b)"}, "process in (a, b)"},
		{[]string{"tcp and lport 80"}, "tcp and lport 80"},
	} {
		_, got, err := parseFilter(test.words)
		if err != nil || got != test.want {
			t.Errorf("%q is read as %q, %v; want %q", test.words, got, err, test.want)
		}
	}
}

func TestNearest(t *testing.T) {
	words := []string{"state", "local_port", "process", "pid", "rtt"}
	for typed, want := range map[string]string{
		"stat": "state", "sate": "state", "STATE": "state", "proces": "process", "porcess": "process",
		"local": "local_port", "pdi": "pid", "xyzzy": "", "": "", "r": "",
	} {
		if got := nearest(typed, words); got != want {
			t.Errorf("nearest to %q is %q, want %q", typed, got, want)
		}
	}
}

func TestHidden(t *testing.T) {
	c := &whose.Coverage{Processes: 328}
	if got := hidden(c); got != "" {
		t.Errorf("a whole answer: %q", got)
	}
	c.Add(whose.Gap{Kind: whose.GapProcesses, Count: 12, Why: "permission denied", Hint: "try sudo"})
	want := "12 of 340 processes could not be looked into (permission denied); try sudo"
	if got := hidden(c); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	c.Add(whose.Gap{Kind: whose.GapNamespaces, Count: 1, Why: "operation not permitted"})
	c.Add(whose.Gap{Kind: whose.GapInterrupted, Why: "interrupted"})
	want = "12 of 340 processes could not be looked into (permission denied), " +
		"1 network namespace could not be looked into (operation not permitted), " +
		"some tables changed while being read (interrupted); try sudo"
	if got := hidden(c); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// TestTally counts sessions with several owners: once for each that differs in
// what is counted by.
func TestTally(t *testing.T) {
	nginx := func(pid uint32) whose.Owner { return whose.Owner{Process: &whose.Process{PID: pid, Comm: "nginx"}} }
	app := whose.Owner{Process: &whose.Process{PID: 5, Comm: "app"}}
	sessions := []whose.Session{
		{State: whose.Listen, Owners: []whose.Owner{nginx(1), nginx(2), app}},
		{State: whose.Established, Owners: []whose.Owner{nginx(2)}, Peer: []whose.Owner{app, nginx(1)}},
		{State: whose.TimeWait},
	}
	for _, test := range []struct {
		by   string
		want string
	}{
		{"state", "ESTABLISHED 1, LISTEN 1, TIME_WAIT 1"},
		{"comm", "nginx 2, app 1, - 1"},
		{"pid", "2 2, 1 1, 5 1, - 1"},
		{"comm,state", "app LISTEN 1, nginx ESTABLISHED 1, nginx LISTEN 1, - TIME_WAIT 1"},
		{"comm,peer_comm", "app - 1, nginx app 1, nginx nginx 1, nginx - 1, - - 1"},
	} {
		var fields []*whose.Field
		for name := range strings.SplitSeq(test.by, ",") {
			fields = append(fields, whose.FieldByName(name))
		}
		tally := newTally(fields)
		for i := range sessions {
			tally.add(&sessions[i])
		}
		var rows []string
		for _, row := range tally.sorted() {
			var cells []string
			for _, v := range row.Values {
				cells = append(cells, cmpOr(string(v.Append(nil)), "-"))
			}
			rows = append(rows, fmt.Sprint(strings.Join(cells, " "), " ", row.Count))
		}
		if diff := cmp.Diff(test.want, strings.Join(rows, ", ")); diff != "" {
			t.Errorf("by %s (-want +got):\n%s", test.by, diff)
		}
		if tally.total != len(sessions) {
			t.Errorf("by %s: total %d, want %d", test.by, tally.total, len(sessions))
		}
	}
}

func cmpOr(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// TestTally_NoAllocs counts a session of a known group without allocating.
func TestTally_NoAllocs(t *testing.T) {
	s := whose.Session{State: whose.Established, Owners: []whose.Owner{
		{Process: &whose.Process{PID: 1, Comm: "a"}}, {Process: &whose.Process{PID: 2, Comm: "b"}},
	}}
	tally := newTally([]*whose.Field{whose.FieldByName("comm"), whose.FieldByName("state")})
	tally.add(&s)
	if n := testing.AllocsPerRun(100, func() { tally.add(&s) }); n != 0 {
		t.Errorf("%v allocations a session, want 0", n)
	}
}

// TestKeys_Differ: values that read the same side by side are not the same group.
func TestKeys_Differ(t *testing.T) {
	text := func(s string) whose.Value { return whose.Value{Kind: whose.KindText, Text: s} }
	a := appendKey(appendKey(nil, text("ab")), text("c"))
	b := appendKey(appendKey(nil, text("a")), text("bc"))
	if bytes.Equal(a, b) {
		t.Errorf("ab|c and a|bc have the same key %q", a)
	}
}

func TestParseServices(t *testing.T) {
	got := parseServices(strings.NewReader("# services\nhttp\t80/tcp www # web\nhttp-alt 80/tcp\nntp 123/udp\n" +
		"broken\nx 99999/tcp\ny abc/tcp\nz 5/sctp\nevil\x1b[31m 7/tcp\n"))
	want := map[service]string{
		{whose.TCP, 80}: "http", {whose.UDP, 123}: "ntp", {whose.TCP, 7}: `evil\x1b[31m`,
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(service{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	r := &resolver{services: got}
	if name := r.service(whose.MPTCP, 80); name != "http" {
		t.Errorf("mptcp port 80 is %q, want http", name)
	}
}

// TestResolver asks for each address once, in parallel, keeps the time, makes
// names safe, and asks again only for what it had no time for.
func TestResolver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sessions []whose.Session
		for i := range 200 {
			remote := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i % 100)}), 1)
			sessions = append(sessions, whose.Session{Remote: remote})
		}
		sessions = append(sessions, whose.Session{Remote: netip.AddrPortFrom(netip.IPv4Unspecified(), 0)})
		asked := make(chan string, 1000)
		r := &resolver{within: 2 * time.Second, hosts: make(map[netip.Addr]string)}
		r.lookup = func(ctx context.Context, addr string) ([]string, error) {
			asked <- addr
			switch addr {
			case "10.0.0.1":
				return []string{"evil\x1b[2J.example."}, nil
			case "10.0.0.2":
				<-ctx.Done()
				return nil, ctx.Err()
			case "10.0.0.3":
				return nil, errors.New("no such host")
			}
			time.Sleep(100 * time.Millisecond)
			return []string{"host-" + addr + "."}, nil
		}
		began := time.Now()
		r.learn(t.Context(), sessions)
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("took %v, want at most 2s", took)
		}
		if len(asked) != 100 {
			t.Errorf("%d questions for 100 addresses", len(asked))
		}
		for addr, want := range map[string]string{
			"10.0.0.1": `evil\x1b[2J.example`, "10.0.0.2": "", "10.0.0.3": "", "10.0.0.9": "host-10.0.0.9",
		} {
			if got := r.host(netip.MustParseAddr(addr)); got != want {
				t.Errorf("%s is %q, want %q", addr, got, want)
			}
		}
		r.learn(t.Context(), sessions)
		if len(asked) != 101 {
			t.Errorf("%d questions after the second time, want 101: what timed out again", len(asked))
		}
	})
}

// TestReport: each kind of error has its exit status, and its words.
func TestReport(t *testing.T) {
	for _, test := range []struct {
		err  error
		want int
		said string
	}{
		{nil, exitFound, ""},
		{statusError(exitNothing), exitNothing, ""},
		{usagef("--x: bad"), exitUsage, "whose: error: --x: bad\n"},
		{whose.WithHint(errors.New("open: denied\x1b[31m"), "try %s", "sudo"), exitFailed,
			"whose: error: open: denied\\x1b[31m\nwhose: hint: try sudo\n"},
		{&whose.PartialError{Gaps: []whose.Gap{{Kind: whose.GapProcesses, Count: 2, Why: "denied"}}}, exitPartial,
			"whose: error: partial answer: 2 processes: denied\n"},
		{fmt.Errorf("collect: %w", context.Canceled), exitInterrupted, ""},
	} {
		var said bytes.Buffer
		if got := (&shell{err: &said}).report(test.err); got != test.want || said.String() != test.said {
			t.Errorf("%v: status %d and %q, want %d and %q", test.err, got, said.String(), test.want, test.said)
		}
	}
}

// TestFlags_Complete: every value that completion offers is accepted, and
// every command has a short text.
func TestFlags_Complete(t *testing.T) {
	root := newRoot(&shell{out: &bytes.Buffer{}, err: &bytes.Buffer{}, getenv: func(string) string { return "" }})
	for _, c := range root.Commands() {
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: short text %q", c.Name(), c.Short)
		}
	}
	for _, format := range outputFormats() {
		d := display{format: format}
		if err := d.settleFormat(root); err != nil {
			t.Errorf("-o %s: %v", format, err)
		}
		if _, err := render.New(format, &bytes.Buffer{}, render.Options{}); err != nil {
			t.Errorf("-o %s: %v", format, err)
		}
	}
}

func TestUnits(t *testing.T) {
	dir := "../../integrations/systemd"
	path := testenv.NeedProgram(t, "systemd-analyze")
	out, err := exec.Command(path, "verify", "--man=no", filepath.Join(dir, "whose-pin.service")).CombinedOutput()
	var rest []string
	for line := range strings.Lines(string(out)) {
		if !strings.Contains(line, "/usr/bin/whose is not executable") && strings.Contains(line, "whose") {
			rest = append(rest, line)
		}
	}
	if len(rest) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, strings.Join(rest, ""))
	}
	users, err := exec.LookPath("systemd-sysusers")
	if err != nil {
		t.Skip("systemd-sysusers is missing, to read whose.sysusers.conf")
	}
	conf, err := filepath.Abs(filepath.Join(dir, "whose.sysusers.conf"))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(users, "--dry-run", conf).CombinedOutput(); err != nil {
		t.Errorf("systemd-sysusers: %v\n%s", err, out)
	}
}
