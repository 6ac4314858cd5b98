package collecttest

import (
	"fmt"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/filter"
)

// questionCases ask for less than everything, of sockets of many kinds.
func questionCases() []Case {
	return []Case{
		{Name: "defaults", Rule: "listeners, established and unconnected sessions are listed where nothing else is asked for",
			hold: holdMany, check: checkDefaults},
		{Name: "named", Rule: "a question that names something asks for every state, and one that does not counts the states that it leaves out",
			hold: holdStates, ofKernel: true, check: checkNamed},
		{Name: "kinds", Rule: "protocols, families and states that were not asked for are not listed", hold: holdMany, check: checkKinds},
		{Name: "own namespace", Rule: "of the own namespace alone, only its sessions are listed", hold: holdMany, check: checkSelf},
		{Name: "one process", Rule: "of one process alone, only its sessions are listed, and only it is named", hold: holdMany, check: checkPID},
		{Name: "filter", Rule: "what a filter leaves is what meets it in the whole answer", hold: holdMany, check: checkFilters},
		{Name: "bare sockets", Rule: "sockets without owners are listed where no more is asked for", hold: holdMany, ofKernel: true, check: checkBare},
	}
}

// holdMany holds sockets of many kinds, some of them of another process.
func holdMany(st *Stage) {
	st.addPair(st.pair("127.0.0.1:0", ""), st.pid())
	st.addPair(st.pair("[::1]:0", ""), st.pid())
	st.addDatagrams("127.0.0.1:0", unix.IPPROTO_UDP)
	holdTwoProcesses(st)
	p := st.pair("127.0.0.1:0", "")
	st.add("listener", st.listener(p.l, 16))
	st.add("time wait", st.finish(p))
}

// holdStates holds sockets in states beyond the default ones, and others.
func holdStates(st *Stage) {
	p := st.pair("127.0.0.1:0", "")
	st.check(unix.Shutdown(p.c, unix.SHUT_WR), "shutdown")
	st.inState(p.c, whose.FinWait2)
	client, server := st.established(p.c, whose.Out, st.pid()), st.established(p.a, whose.In, st.pid())
	client.State, server.State = whose.FinWait2, whose.CloseWait
	server.RecvQueue = 1 // the end of the stream counts as one byte
	st.add("listener", st.listener(p.l, 16))
	st.add("shut down here", client)
	st.add("shut down there", server)
	st.addDatagrams("127.0.0.1:0", unix.IPPROTO_UDP)
	p = st.pair("127.0.0.1:0", "")
	st.add("second listener", st.listener(p.l, 16))
	st.add("time wait", st.finish(p))
}

// checkNamed asks without states.
func checkNamed(t *testing.T, c *caught) {
	port := c.Truths[0].Local.Port()
	atPort := func(s *whose.Session) bool { return s.Local.Port() == port || s.Remote.Port() == port }
	for text, keep := range map[string]func(*whose.Session) bool{
		fmt.Sprintf(":%d", port): atPort,
		fmt.Sprintf("tcp and not lport < %d", port): func(s *whose.Session) bool {
			return isTCP(s) && s.Local.Port() >= port && whose.DefaultStates.Has(s.State)
		},
		fmt.Sprintf("udp or :%d", port): func(s *whose.Session) bool { return !isTCP(s) || atPort(s) },
		"fd 0-100000":                   func(s *whose.Session) bool { return s.State != whose.TimeWait },
		"tcp":                           func(s *whose.Session) bool { return isTCP(s) && whose.DefaultStates.Has(s.State) },
	} {
		c.expect(t, text, collect.Options{Filter: parse(t, text)}, keep)
	}
	for text, want := range map[string]whose.StateCounts{
		"":                 {whose.CloseWait: 1, whose.FinWait2: 1, whose.TimeWait: 1},
		"and tcp":          {whose.CloseWait: 1, whose.FinWait2: 1, whose.TimeWait: 1},
		"and udp":          {},
		"and not tcp":      {},
		"and :1-65535":     {}, // they are in the answer
		"and state listen": {},
	} {
		text = fmt.Sprintf("netns %d ", c.Namespaces[0]) + text
		sessions, coverage := c.again(t, collect.Options{Filter: parse(t, text), CountOthers: true})
		if coverage.OtherStates != want {
			t.Errorf("%s: %v are counted beside %d sessions, want %v", text, &coverage.OtherStates, len(sessions), &want)
		}
		if coverage.Sessions != len(sessions) {
			t.Errorf("%s: %d sessions in the coverage, %d in the answer", text, coverage.Sessions, len(sessions))
		}
	}
	if _, coverage := c.again(t, collect.Options{}); coverage.OtherStates != (whose.StateCounts{}) {
		t.Errorf("%v are counted, and nobody asked for it", &coverage.OtherStates)
	}
}

// expect asks with the options and wants just those of the case's sessions for
// which keep holds.
func (c *caught) expect(t *testing.T, what string, opts collect.Options, keep func(*whose.Session) bool) {
	t.Helper()
	sessions, coverage := c.again(t, opts)
	var want []Truth
	for _, truth := range c.Truths {
		blanked := truth.Session
		if Blank(c.source, &blanked) && keep(&truth.Session) {
			want = append(want, truth)
		}
	}
	for _, w := range compare(c.source, want, sessions, c.Namespaces) {
		t.Errorf("%s: %s", what, w)
	}
	for _, w := range account(c.source, sessions, &coverage, true) {
		t.Errorf("%s: %s", what, w)
	}
}

func checkDefaults(t *testing.T, c *caught) {
	c.expect(t, "no options", collect.Options{}, func(s *whose.Session) bool { return whose.DefaultStates.Has(s.State) })
}

func checkKinds(t *testing.T, c *caught) {
	for _, proto := range []whose.Proto{whose.TCP, whose.UDP} {
		opts := everything()
		opts.Protos = whose.SetOf(proto)
		c.expect(t, proto.String(), opts, func(s *whose.Session) bool { return s.Proto == proto })
	}
	for _, family := range []whose.Family{whose.IPv4, whose.IPv6} {
		opts := everything()
		opts.Families = whose.SetOf(family)
		c.expect(t, family.String(), opts, func(s *whose.Session) bool { return s.Family == family })
	}
	for _, state := range []whose.State{whose.Listen, whose.Established, whose.TimeWait, whose.Unconn} {
		opts := collect.Options{States: whose.SetOf(state)}
		c.expect(t, state.String(), opts, func(s *whose.Session) bool { return s.State == state })
	}
}

// checkSelf opens a socket in the test's own namespace.
func checkSelf(t *testing.T, c *caught) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	self, err := netnsOf("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	opts := everything()
	opts.NetNS = "self"
	var sessions []whose.Session
	own := func(s whose.Session) bool {
		return s.State == whose.Listen && s.Local.String() == l.Addr().String() &&
			len(s.Owners) == 1 && s.Owners[0].PID == uint32(os.Getpid())
	}
	found := false
	// A source that follows the kernel hears of the listener a little later.
	for deadline := time.Now().Add(patience); !found; time.Sleep(50 * time.Millisecond) {
		sessions, _ = c.again(t, opts)
		found = slices.ContainsFunc(sessions, own)
		if c.source != Agent || time.Now().After(deadline) {
			break
		}
	}
	if n := strangers(sessions, self); n > 0 {
		t.Errorf("%d sessions of other namespaces", n)
	}
	if !found {
		t.Errorf("the listener of the test itself is not among %d sessions, with its owner", len(sessions))
	}
}

// parse parses a filter; the cases' own are right.
func parse(t *testing.T, text string) filter.Expr {
	t.Helper()
	expr, err := filter.Parse(text)
	if err != nil {
		t.Fatalf("filter %q: %v", text, err)
	}
	return expr
}

func checkPID(t *testing.T, c *caught) {
	opts := everything()
	opts.Filter = parse(t, fmt.Sprintf("pid %d", c.PID))
	sessions, coverage := c.again(t, opts)
	want := 0
	for _, truth := range c.Truths {
		if len(truth.Owners) > 0 && truth.Owners[0].PID == uint32(c.PID) {
			want++
		}
	}
	if len(sessions) != want {
		t.Errorf("%d sessions of the process, want %d", len(sessions), want)
	}
	for _, s := range sessions {
		if len(s.Owners) != 1 || s.Owners[0].PID != uint32(c.PID) {
			t.Errorf("%v belongs to %d owners, want the one process", s.Local, len(s.Owners))
		}
	}
	for _, w := range account(c.source, sessions, &coverage, true) {
		t.Error(w)
	}
}

func checkFilters(t *testing.T, c *caught) {
	port := c.Truths[0].Local.Port()
	tests := []struct {
		text string
		keep func(*whose.Session) bool
	}{
		{fmt.Sprintf(":%d", port), func(s *whose.Session) bool { return s.Local.Port() == port || s.Remote.Port() == port }},
		{fmt.Sprintf("local_port %d", port), func(s *whose.Session) bool { return s.Local.Port() == port }},
		{"127.0.0.0/8 and tcp", func(s *whose.Session) bool { return isTCP(s) && s.Local.Addr().Is4() }},
		{"not tcp", func(s *whose.Session) bool { return !isTCP(s) }},
		{"state time_wait", func(s *whose.Session) bool { return s.State == whose.TimeWait }},
		{"direction in", func(s *whose.Session) bool { return s.Direction == whose.In }},
		{fmt.Sprintf("netns %d", c.Namespaces[0]), func(*whose.Session) bool { return true }},
		{"netns 1", func(*whose.Session) bool { return false }},
	}
	for _, test := range tests {
		opts := everything()
		opts.Filter = parse(t, test.text)
		sessions, _ := c.again(t, opts)
		var want []Truth
		for _, truth := range c.Truths {
			if test.keep(&truth.Session) {
				want = append(want, truth)
			}
		}
		for _, w := range compare(c.source, want, sessions, c.Namespaces) {
			t.Errorf("filter %q: %s", test.text, w)
		}
	}
}

func checkBare(t *testing.T, c *caught) {
	opts := everything()
	opts.Needs = whose.NeedSessions
	sessions, coverage := c.again(t, opts)
	ours := c.ours(sessions)
	if len(ours) != len(c.Truths) {
		t.Errorf("%d sessions, want %d", len(ours), len(c.Truths))
	}
	for _, s := range ours {
		if len(s.Owners)+len(s.Peer) > 0 || s.Reason != whose.ReasonNone {
			t.Errorf("%v: owners or a reason, though nothing of the kind was asked for", s.Local)
		}
	}
	for _, w := range account(c.source, sessions, &coverage, false) {
		t.Error(w)
	}
}
