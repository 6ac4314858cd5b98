package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/history"
	"github.com/seed-44df2ae6/whose/internal/agent"
	"github.com/seed-44df2ae6/whose/internal/ask"
	"github.com/seed-44df2ae6/whose/track"
)

const hostNetNS = 4026531840

// A table is a live table made by a test.
type table struct{ sessions []whose.Session }

func (t *table) Visit(where filter.Expr, peers bool, fn func(*whose.Session)) {
	m := filter.Compile(where, filter.Env{SelfNetNS: hostNetNS})
	for _, s := range t.sessions {
		if !m.Match(&s) {
			continue
		}
		if !peers {
			s.Peer = nil
		}
		fn(&s)
		s = whose.Session{} // it was valid until fn returned
	}
}

func (t *table) Source() track.Source { return track.Source{Name: "bpf"} }
func (t *table) Stats() track.Stats   { return track.Stats{Sessions: len(t.sessions)} }

func process(pid, uid uint32, comm string) []whose.Owner {
	return []whose.Owner{{Process: &whose.Process{PID: pid, UID: uid, User: fmt.Sprint(uid), Comm: comm, Cmdline: comm + " --secret"}}}
}

func session(n int, netns uint32, owners []whose.Owner) whose.Session {
	return whose.Session{
		Proto: whose.TCP, Family: whose.IPv4, State: whose.Established, Direction: whose.Out, NetNS: netns, Cookie: uint64(n), Inode: uint64(n),
		Local:  netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(30000+n)),
		Remote: netip.MustParseAddrPort("198.51.100.7:443"), Owners: owners, Unknown: whose.FactRecvQueue | whose.FactSendQueue,
	}
}

func someSessions() []whose.Session {
	return []whose.Session{
		session(1, hostNetNS, process(100, 0, "sshd")),
		session(2, hostNetNS, process(200, 1000, "curl")),
		session(3, hostNetNS+7, process(300, 0, "nginx")),
		session(4, hostNetNS+7, process(400, 1000, "python3")),
		session(5, hostNetNS, append(process(100, 0, "sshd"), process(200, 1000, "curl")...)),
	}
}

// A served agent is one behind a socket.
type served struct {
	*Server
	client *ask.Client
	path   string
}

// dirForSocket is a directory that others may not write to.
func dirForSocket(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "api")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func serveTable(t *testing.T, sessions []whose.Session, viewer *agent.Viewer) *served {
	t.Helper()
	s := &served{Server: &Server{
		Table: &table{sessions}, Feed: agent.NewFeed(256, time.Now()), NetNS: hostNetNS, Version: map[string]string{"version": "test"}, Began: time.Now(),
	}}
	s.path = filepath.Join(dirForSocket(t), "agent.sock")
	socket, err := ListenUnix(s.path, -1, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	var serving *Serving
	if viewer == nil {
		serving = s.ServeUnix(socket)
	} else {
		serving = serve(service(s.handler(), func(net.Conn) (agent.Viewer, bool) { return *viewer, true }), newBounded(socket, mostConns))
	}
	s.client = &ask.Client{Socket: s.path}
	t.Cleanup(func() {
		s.End()
		if err := serving.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// get asks and returns the status and the body.
func (s *served) get(t *testing.T, target string, headers ...string) (int, string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", s.path)
		},
	}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost"+target, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	answer, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// comms asks for sessions and writes each with the owners that are shown.
func (s *served) comms(t *testing.T, q *ask.Question) (rows []string, cov whose.Coverage) {
	t.Helper()
	cov, err := s.client.Sessions(t.Context(), q, func(session *whose.Session) bool {
		row := fmt.Sprint(session.Cookie, " ", session.Reason)
		for _, o := range session.Owners {
			row += " " + o.Comm
		}
		rows = append(rows, row)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(rows)
	return rows, cov
}

func TestServer_SessionsForRoot(t *testing.T) {
	s := serveTable(t, someSessions(), &agent.Viewer{All: true, NetNS: hostNetNS})
	for _, c := range []struct {
		q    ask.Question
		want []string
	}{
		{ask.Question{}, []string{"1 none sshd", "2 none curl", "3 none nginx", "4 none python3", "5 none sshd curl"}},
		{ask.Question{Filter: "comm sshd"}, []string{"1 none sshd", "5 none sshd curl"}},
		{ask.Question{Filter: "lport 30003"}, []string{"3 none nginx"}},
		{ask.Question{NetNS: "self"}, []string{"1 none sshd", "2 none curl", "5 none sshd curl"}},
		{ask.Question{NetNS: "self", Self: hostNetNS + 7}, []string{"3 none nginx", "4 none python3"}},
		{ask.Question{Filter: "netns self", Self: hostNetNS + 7}, []string{"3 none nginx", "4 none python3"}},
		{ask.Question{NetNS: fmt.Sprint(hostNetNS + 7)}, []string{"3 none nginx", "4 none python3"}},
		{ask.Question{Protos: whose.SetOf(whose.UDP)}, nil},
		{ask.Question{States: whose.SetOf(whose.Listen)}, nil},
	} {
		want := c.want
		for i := range want {
			want[i] = strings.Replace(want[i], "none", whose.ReasonNone.String(), 1)
		}
		if got, _ := s.comms(t, &c.q); !slices.Equal(got, want) {
			t.Errorf("%+v: %q, want %q", c.q, got, want)
		}
	}
}

// TestHostileServer_OthersSessions shows a user what the kernel would show him, and
// lets no filter find out more.
func TestHostileServer_OthersSessions(t *testing.T) {
	s := serveTable(t, someSessions(), &agent.Viewer{UID: 1000, NetNS: hostNetNS})
	none := whose.ReasonNone.String()
	got, cov := s.comms(t, &ask.Question{})
	want := []string{"1 hidden", "2 " + none + " curl", "4 " + none + " python3", "5 " + none + " curl"}
	if !slices.Equal(got, want) {
		t.Errorf("the user sees %q, want %q", got, want)
	}
	if cov.Gaps.Count(whose.GapProcesses) != 2 || cov.Gaps.Count(whose.GapNamespaces) != 1 || !cov.Gaps.HasCause(whose.CausePermission) {
		t.Errorf("the coverage: %v", cov.Gaps)
	}
	for _, guess := range []string{"comm sshd", "pid 100", "comm nginx", "owner_user 0", "comm =~ 's.*d'"} {
		if got, _ := s.comms(t, &ask.Question{Filter: guess}); len(got) > 0 {
			t.Errorf("filter %s finds %q of others", guess, got)
		}
	}
	for _, path := range []string{"/v1/sessions?fields=cmdline,comm", "/v1/count?by=comm,pid,cmdline"} {
		if _, text := s.get(t, path); strings.Contains(text, "sshd") || strings.Contains(text, "nginx") || !strings.Contains(text, "curl") {
			t.Errorf("%s shows the processes of others, or not his own: %s", path, text)
		}
	}
}

func TestServer_BadParameters(t *testing.T) {
	s := serveTable(t, someSessions(), &agent.Viewer{All: true, NetNS: hostNetNS})
	for target, want := range map[string]string{
		"/v1/sessions?fields=prot":                `fields: unknown field "prot"`,
		"/v1/sessions?fields=":                    "",
		"/v1/sessions?sort=nope":                  `sort: unknown field "nope"`,
		"/v1/sessions?filter=prto+tcp":            `filter: unknown field "prto"`,
		"/v1/sessions?filter=rtt+%3E+1ms":         "filter: the agent's live table does not have the field rtt",
		"/v1/sessions?filter=event+open":          "filter: how sessions ended is not known of those that stand",
		"/v1/sessions?limit=-1":                   "limit: want a whole number",
		"/v1/sessions?limit=1&limit=2":            "limit: it is given 2 times",
		"/v1/sessions?output=xml":                 `output: unknown format "xml"`,
		"/v1/sessions?state=open":                 `state: unknown value "open"`,
		"/v1/sessions?proto=icmp":                 `proto: unknown value "icmp"`,
		"/v1/sessions?filtre=x":                   `unknown parameter "filtre"`,
		"/v1/sessions?at=yesteryear":              `at: "yesteryear" is no time`,
		"/v1/sessions?at=now&from=-1h":            "at: a moment",
		"/v1/sessions?from=now&to=-1h":            "from: ",
		"/v1/sessions?%zz":                        "read the parameters",
		"/v1/sessions?filter=" + long(mostText+1): "filter: want at most",
		"/v1/count?by=comm,comm":                  "by: field comm is named twice",
		"/v1/count?sum=comm":                      "sum: field comm is no amount",
		"/v1/count?per=1h":                        "per: want from too",
		"/v1/count?from=-1h&per=0s":               "per: want a time above zero",
		"/v1/count?from=-24h&per=1ms":             "per: want at most 10000 steps",
		"/v1/count?top=x":                         "top: want a whole number",
		"/v1/events":                              "follow: neither the past nor the present",
		"/v1/events?follow=maybe":                 "follow: want true or false",
		"/v1/events?follow=true&events=opne":      `events: unknown kind "opne"`,
		"/v1/events?follow=true&output=json":      `output: unknown format "json"`,
		"/v1/events?from=-1h&after=3":             "after: it excludes from",
		"/v1/version?x=1":                         `unknown parameter "x"`,
	} {
		status, text := s.get(t, target)
		if want == "" {
			if status != http.StatusOK {
				t.Errorf("%s: %d %s", target, status, text)
			}
			continue
		}
		var doc errorDocument
		if err := json.Unmarshal([]byte(text), &doc); status != http.StatusBadRequest || err != nil || !strings.HasPrefix(doc.Error, want) {
			t.Errorf("%.80s: %d %s, want 400 and %q", target, status, text, want)
		}
	}
	for target, want := range map[string]int{"/": 404, "/v1": 404, "/v1/history": 404, "/v1/sessions?at=now": 404, "/v1/sessions/1": 404} {
		if status, text := s.get(t, target); status != want {
			t.Errorf("%s: %d %s, want %d", target, status, text, want)
		}
	}
}

func long(n int) string { return strings.Repeat("a", n) }

// happens puts an event of a session into the feed.
func (s *served) happens(t *testing.T, kind whose.EventKind, sessions ...whose.Session) {
	t.Helper()
	if err := s.Feed.Run(t.Context(), eventsOf{kind, sessions}); err != nil {
		t.Fatal(err)
	}
}

type eventsOf struct {
	kind     whose.EventKind
	sessions []whose.Session
}

func (e eventsOf) Each(_ context.Context, fn func(*whose.Event) bool) error {
	for _, s := range e.sessions {
		if !fn(&whose.Event{Time: time.Now(), Kind: e.kind, Session: s}) {
			break
		}
	}
	return nil
}

// TestServer_Events follows the events, leaves, and goes on after the last number.
func TestServer_Events(t *testing.T) {
	s := serveTable(t, someSessions(), &agent.Viewer{All: true, NetNS: hostNetNS})
	var last uint64
	var seen []string
	listen := func(q *ask.Question, n int, begun func()) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		once := sync.OnceFunc(begun)
		go func() {
			for s.streams.Load() == 0 {
				time.Sleep(time.Millisecond)
			}
			once()
		}()
		left := n
		if _, err := s.client.Events(ctx, q, func(e *whose.Event) bool {
			last = max(last, e.Seq)
			seen = append(seen, fmt.Sprint(e.Kind, " ", e.Session.Cookie))
			left--
			return left > 0
		}); err != nil {
			t.Fatal(err)
		}
	}
	listen(&ask.Question{Follow: true, Initial: true, Filter: "comm curl"}, 4, func() {
		s.happens(t, whose.EventClose, session(2, hostNetNS, process(200, 1000, "curl")))
		s.happens(t, whose.EventOpen, session(7, hostNetNS, process(200, 1000, "curl")), session(8, hostNetNS, process(1, 0, "init")))
	})
	want := []string{"standing 2", "standing 5", "close 2", "open 7"}
	if !slices.Equal(seen, want) {
		t.Fatalf("seen %q, want %q", seen, want)
	}
	for s.streams.Load() > 0 {
		time.Sleep(time.Millisecond)
	}
	s.happens(t, whose.EventOpen, session(9, hostNetNS, process(200, 1000, "curl")))
	seen = nil
	listen(&ask.Question{Follow: true, After: last, Filter: "comm curl"}, 1, func() {})
	if !slices.Equal(seen, []string{"open 9"}) {
		t.Errorf("after number %d: %q", last, seen)
	}
	// Without follow it has an end; the numbers of an earlier agent are a loss.
	seen = nil
	listen(&ask.Question{After: 1, Filter: "comm curl"}, 100, func() {})
	if !slices.Equal(seen, []string{"lost 0", "close 2", "open 7", "open 9"}) {
		t.Errorf("after an earlier agent: %q", seen)
	}
	// As server-sent events each has its number.
	_, text := s.get(t, "/v1/events?output=sse&filter=comm+init", "Last-Event-ID", "1")
	if !strings.Contains(text, "event: lost\ndata: {") || !strings.Contains(text, fmt.Sprintf("id: %d\nevent: open\ndata: {", last-1)) {
		t.Errorf("server-sent events: %q", text)
	}
}

// TestHostileServer_SlowReaders has a hundred streams, of which some never read: the
// others lose nothing, and the slow ones are told how much they lost.
func TestHostileServer_SlowReaders(t *testing.T) {
	s := serveTable(t, nil, &agent.Viewer{All: true, NetNS: hostNetNS})
	const streams, slow, rounds, each = 100, 10, 12, 50
	for range slow {
		conn, err := net.Dial("unix", s.path)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "GET /v1/events?follow=true HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	var reading sync.WaitGroup
	var progress [streams - slow]chan int
	for i := range progress {
		progress[i] = make(chan int, rounds*each)
		reading.Go(func() {
			n := 0
			if _, err := s.client.Events(t.Context(), &ask.Question{Follow: true}, func(e *whose.Event) bool {
				if e.Kind == whose.EventLost {
					t.Errorf("stream %d lost %d: %s", i, e.Lost, e.Why)
				}
				n++
				progress[i] <- n
				return n < rounds*each
			}); err != nil {
				t.Errorf("stream %d: %v", i, err)
			}
		})
	}
	for s.streams.Load() < streams {
		time.Sleep(time.Millisecond)
	}
	for s.Feed.Waiting() < streams {
		time.Sleep(time.Millisecond)
	}
	many := make([]whose.Session, each)
	for i := range many {
		many[i] = session(i, hostNetNS, process(1, 0, "load"))
	}
	for round := range rounds {
		s.happens(t, whose.EventOpen, many...)
		for i := range progress { // all have it before more comes than is kept
			for n := range progress[i] {
				if n >= (round+1)*each {
					break
				}
			}
		}
	}
	reading.Wait()
}

func TestListenUnix(t *testing.T) {
	dir := dirForSocket(t)
	path := filepath.Join(dir, "run", "agent.sock")
	first, err := ListenUnix(path, -1, 0o660)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != os.ModeSocket|0o660 {
		t.Errorf("the socket is %v, %v", info, err)
	}
	if _, err := ListenUnix(path, -1, 0o660); err == nil || !strings.Contains(err.Error(), "another agent has it") {
		t.Errorf("a second agent at the same socket: %v", err)
	}
	// An agent that was killed leaves its socket.
	if err := first.Listener.Close(); err != nil {
		t.Fatal(err)
	}
	if err := first.release(); err != nil {
		t.Fatal(err)
	}
	second, err := ListenUnix(path, -1, 0o660)
	if err != nil {
		t.Fatalf("after a killed agent: %v", err)
	}
	if err := first.Close(); err != nil { // it has been replaced
		t.Error(err)
	}
	if _, err := net.Dial("unix", path); err != nil {
		t.Errorf("the end of the first took the second's socket: %v", err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("after a clean end: %v", err)
	}
}

func TestHostileListenUnix(t *testing.T) {
	dir := dirForSocket(t)
	open := filepath.Join(dir, "open")
	if err := os.Mkdir(open, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	tried, wrong := 0, 0
	for path, want := range map[string]string{
		filepath.Join(open, "a.sock"): "others may write to it",
		filepath.Join(link, "a.sock"): "it is a symbolic link",
		file:                          "something that is no socket",
	} {
		tried++
		s, err := ListenUnix(path, -1, 0o660)
		if err == nil || !strings.Contains(err.Error(), want) {
			wrong++
			t.Errorf("%s: %v, want %s", path, err, want)
		}
		if err == nil {
			s.Close()
		}
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "precious" {
		t.Errorf("a file at the place of the socket: %q, %v", text, err)
	}
	t.Logf("%d attacks, %d wrong", tried, wrong)
}

func TestHostileServeTCP(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", "[::]:0", ":0", "192.0.2.1:0", "example.org:0", "127.0.0.1"} {
		if l, err := ListenTCP(address, false); err == nil {
			l.Close()
			t.Errorf("it listens at %s", address)
		}
	}
	s := &Server{Table: &table{someSessions()}, Feed: agent.NewFeed(16, time.Now()), NetNS: hostNetNS, Version: "test"}
	l, err := ListenTCP("127.0.0.1:0", false)
	if err != nil {
		t.Fatal(err)
	}
	const token = "0123456789abcdef"
	serving := s.ServeTCP(l, Access{Token: token})
	defer serving.Close()
	send := func(headers string) string {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "GET /v1/version HTTP/1.1\r\n%sConnection: close\r\n\r\n", headers)
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(line)
	}
	auth := "Authorization: Bearer " + token + "\r\n"
	for headers, want := range map[string]string{
		"Host: localhost\r\n" + auth:                                               "200",
		"Host: 127.0.0.1:1\r\n" + auth:                                             "200",
		"Host: [::1]:1\r\n" + auth:                                                 "200",
		"Host: localhost\r\n":                                                      "401",
		"Host: localhost\r\nAuthorization: Bearer wrong\r\n":                       "401",
		"Host: localhost\r\nAuthorization: Bearer \r\n":                            "401",
		"Host: localhost\r\nAuthorization: Basic " + token + "\r\n":                "401",
		"Host: evil.example\r\n" + auth:                                            "403",
		"Host: localhost.evil.example\r\n" + auth:                                  "403",
		"Host: 127.0.0.1.evil.example\r\n" + auth:                                  "403",
		"Host: 192.0.2.1\r\n" + auth:                                               "403",
		"Host: localhost\r\nOrigin: http://localhost\r\n" + auth:                   "403",
		"Host: localhost\r\nOrigin: null\r\n" + auth:                               "403",
		"Host: localhost\r\n" + auth + "X: " + strings.Repeat("a", 1<<16) + "\r\n": "431",
	} {
		if got := send(headers); !strings.HasPrefix(got, "HTTP/1.1 "+want) {
			t.Errorf("%.120q: %s, want %s", headers, got, want)
		}
	}
}

// FuzzParams gives every path any parameters: it answers or refuses, and never fails.
func FuzzParams(f *testing.F) {
	for _, seed := range []string{
		"filter=comm+nginx&fields=proto", "from=-1h&to=now&per=1m&by=comm", "at=03:12&state=all&sort=-pid&limit=3", "after=1&events=open,close",
		"output=csv&proto=tcp&family=ipv6&netns=self&self=1", "filter=(((&by=,&sum=&top=9", "utc=1&%00=%ff",
	} {
		f.Add(seed)
	}
	s := &Server{Table: &table{someSessions()}, Feed: agent.NewFeed(16, time.Now()), NetNS: hostNetNS, Version: "test", Past: emptyPast}
	handler := s.handler()
	f.Fuzz(func(t *testing.T, query string) {
		for _, e := range endpoints() {
			if values, _ := url.ParseQuery(query); e.stream && values.Get(ask.ParamFollow) != "" {
				continue // it would have no end
			}
			ctx := withViewer(t.Context(), agent.Viewer{All: true, NetNS: hostNetNS})
			r := (&http.Request{Method: http.MethodGet, URL: &url.URL{Path: e.path, RawQuery: query}, Header: http.Header{}}).WithContext(ctx)
			w := &recorder{head: make(http.Header)}
			handler.ServeHTTP(w, r)
			if w.status != 0 && w.status != 200 && w.status != 400 {
				t.Errorf("%s?%s: %d %s", e.path, query, w.status, w.text.String())
			}
		}
	})
}

type recorder struct {
	head   http.Header
	status int
	text   bytes.Buffer
}

func (w *recorder) Header() http.Header         { return w.head }
func (w *recorder) WriteHeader(status int)      { w.status = status }
func (w *recorder) Write(p []byte) (int, error) { return w.text.Write(p) }
func (w *recorder) Flush()                      {}

func emptyPast(*time.Location) (history.Source, error) { return noPast{}, nil }

type noPast struct{}

func (noPast) Sessions(context.Context, *history.Query, func(*whose.Session) bool) (whose.Coverage, error) {
	return whose.Coverage{}, nil
}

func (noPast) Events(context.Context, *history.Query, func(*whose.Event) bool) (whose.Coverage, error) {
	return whose.Coverage{}, nil
}
func (noPast) Until(context.Context) (time.Time, error)            { return time.Time{}, nil }
func (noPast) Overview(context.Context) (*history.Overview, error) { return &history.Overview{}, nil }
func (noPast) Close() error                                        { return nil }
