package render

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"

	"github.com/seed-44df2ae6/whose"
)

// allWidths are those at which tables are verified.
var allWidths = []int{0, 28, 40, 61, 80, 120, 200}

// checkTable verifies what holds for every table at every width: a line for
// each session, no control character, no line wider than the terminal once
// that has room for three short columns, and every port whole.
func checkTable(t *testing.T, sessions []whose.Session, widths ...int) {
	t.Helper()
	for _, width := range widths {
		text := rendered(t, Table, Options{Width: width}, sessions)
		var lines []string
		for line := range strings.Lines(text) {
			if line = strings.TrimSuffix(line, "\n"); line != "" {
				lines = append(lines, line)
			}
		}
		if len(lines) != len(sessions)+1 {
			t.Fatalf("%d columns: %d lines for %d sessions and the titles:\n%s", width, len(lines), len(sessions), text)
		}
		for i, line := range lines {
			checkLine(t, line, width)
			if i > 0 {
				checkPorts(t, line, &sessions[i-1])
			}
		}
	}
}

func checkLine(t *testing.T, line string, width int) {
	t.Helper()
	if !utf8.ValidString(line) || strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Errorf("line is not printable: %q", line)
	}
	if w := uniseg.StringWidth(line); width > 0 && w > width {
		t.Errorf("line takes %d of %d columns: %s", w, width, line)
	}
}

func checkPorts(t *testing.T, line string, s *whose.Session) {
	t.Helper()
	ends := []netip.AddrPort{s.Local}
	if s.Remote.Port() != 0 {
		ends = append(ends, s.Remote)
	}
	for _, end := range ends {
		if !strings.Contains(line+" ", fmt.Sprintf(":%d ", end.Port())) {
			t.Errorf("port of %v is missing in %s", end, line)
		}
	}
}

func TestTable_Samples(t *testing.T) {
	for name, sessions := range samples() {
		t.Run(name, func(t *testing.T) { checkTable(t, sessions, allWidths...) })
	}
}

// randomSessions makes sessions of all kinds, the same for the same seed.
func randomSessions(n int, seed uint64) []whose.Session {
	r := rand.New(rand.NewPCG(seed, 1))
	addr := func() netip.Addr {
		if r.IntN(3) == 0 {
			var a [16]byte
			for i := range a {
				a[i] = byte(r.IntN(256)) * byte(r.IntN(2))
			}
			a[0] |= 0x20
			return netip.AddrFrom16(a)
		}
		return netip.AddrFrom4([4]byte{byte(10 + r.IntN(200)), byte(r.IntN(256)), byte(r.IntN(256)), byte(r.IntN(256))})
	}
	names := []string{"nginx", "a", "データベース", "tmux: server", "x, y", "postgres", "\x1b", "a-long-name-123", "(x) → y"}
	var processes []*whose.Process
	for i := range 60 {
		processes = append(processes, process(uint32(1+r.IntN(4_000_000)), names[i%len(names)]))
	}
	some := func(most int) []whose.Owner {
		var list []*whose.Process
		for range r.IntN(most) {
			list = append(list, processes[r.IntN(len(processes))])
		}
		return owners(list...)
	}
	all := make([]whose.Session, n)
	for i := range all {
		s := &all[i]
		s.Local = netip.AddrPortFrom(addr(), uint16(1+r.IntN(65535)))
		s.Remote = netip.AddrPortFrom(addr(), uint16(1+r.IntN(65535)))
		s.Proto, s.Family = whose.Proto(1+r.IntN(4)), whose.Family(4+2*r.IntN(2))
		s.V6Only = r.IntN(2) == 0
		s.Unknown = whose.Facts(r.IntN(4) * r.IntN(8))
		s.State = whose.State(1 + r.IntN(11))
		if r.IntN(4) == 0 {
			s.Unit, s.Container = names[r.IntN(len(names))], names[r.IntN(len(names))]
		}
		s.Direction = whose.Direction(r.IntN(3))
		s.NetNS = 4026531840 + uint32(r.IntN(2))
		s.User = names[r.IntN(len(names))]
		s.Owners = some(8)
		if len(s.Owners) == 0 || r.IntN(10) == 0 {
			s.Reason = whose.Reason(1 + r.IntN(whose.NumReasons-1))
		}
		if r.IntN(3) == 0 {
			s.Peer = some(4)
		}
	}
	return all
}

func TestTable_Random(t *testing.T) {
	for seed := range uint64(20) {
		checkTable(t, randomSessions(40, seed), allWidths...)
	}
}

// Numbers of processes are never cut, however narrow the terminal is.
func TestTable_NumbersWhole(t *testing.T) {
	known := make(map[string]bool)
	sessions := randomSessions(60, 3)
	for i := range sessions {
		for _, o := range slices.Concat(sessions[i].Owners, sessions[i].Peer) {
			known[fmt.Sprint(o.PID)] = true
		}
		for j := range sessions[i].Owners {
			sessions[i].Owners[j].Comm = strings.Map(func(r rune) rune {
				if unicode.IsDigit(r) {
					return 'x'
				}
				return r
			}, sessions[i].Owners[j].Comm)
		}
	}
	for width := 20; width < 200; width++ {
		for line := range strings.Lines(rendered(t, Table, Options{Width: width, Fields: fieldsNamed("pid comm")}, sessions)) {
			pids, _, _ := strings.Cut(strings.TrimSpace(line), " ")
			for _, pid := range strings.Split(strings.TrimSuffix(pids, "+"), ",") {
				if !known[pid] && pid != "PID" && pid != "-" {
					t.Fatalf("%d columns: %s is no process: %s", width, pid, line)
				}
			}
		}
	}
}

// The namespace is shown where a row is of another than the caller's, by its name;
// the own has none.
func TestTable_NetNS(t *testing.T) {
	of := func(netns uint32, name string) whose.Session {
		return with(session(whose.TCP, whose.Listen, "0.0.0.0:80", "0.0.0.0:0"), func(s *whose.Session) { s.NetNS, s.NetNSName = netns, name })
	}
	const own, other = sampleNetNS, sampleNetNS + 1
	for _, c := range []struct {
		sessions []whose.Session
		own      uint32
		want     []string
	}{
		{[]whose.Session{of(own, "")}, own, nil},
		{[]whose.Session{of(own, "lab")}, own, nil},
		{[]whose.Session{of(other, "web")}, own, []string{"web"}},
		{[]whose.Session{of(other, "web"), of(other, "web")}, own, []string{"web", "web"}},
		{[]whose.Session{of(own, "host"), of(other, "")}, own, []string{"", "4026531841"}},
		{[]whose.Session{of(own, "host"), of(own, "host")}, 0, nil},
		{[]whose.Session{of(own, "host"), of(other, "")}, 0, []string{"host", "4026531841"}},
	} {
		for _, format := range []string{Table, Wide} {
			text := rendered(t, format, Options{Width: 200, OwnNetNS: c.own, Color: true}, c.sessions)
			if got := strings.Contains(text, "NETNS"); got != (c.want != nil) {
				t.Errorf("%s, own %d: shows the namespace: %v in\n%s", format, c.own, got, text)
			}
			for _, name := range c.want {
				if name != "" && !strings.Contains(text, styleCodes[faint]+name+styleEnd) {
					t.Errorf("%s, own %d: %q is missing or loud in\n%q", format, c.own, name, text)
				}
			}
		}
	}
}

// No two columns of a table have one title.
func TestTitles(t *testing.T) {
	seen := make(map[string]string)
	for _, f := range whose.AllFields() {
		if other, ok := seen[f.Title]; ok {
			t.Errorf("%s and %s are both titled %s", f.Name, other, f.Title)
		}
		seen[f.Title] = f.Name
	}
}

// What there are more of is counted: folding loses nothing.
func TestTable_Folding(t *testing.T) {
	for _, n := range []int{1, 2, 3, 5, 100} {
		var list []*whose.Process
		for i := range n {
			list = append(list, process(uint32(10+i), fmt.Sprintf("p%d", i%3)))
		}
		for _, width := range []int{0, 80, 120, 200} {
			tab := newTable(Table, &Options{Width: width})
			var c cell
			tab.ownersCell(&c, owners(list...), tab.maxPIDs)
			total := 0
			for _, word := range strings.FieldsFunc(string(c.text), func(r rune) bool { return r == ' ' || r == ',' }) {
				var more int
				if _, err := fmt.Sscanf(word, "+%d", &more); err == nil {
					total += more
				} else if word[0] != 'p' {
					total++
				}
			}
			if total != n {
				t.Errorf("%d owners at %d columns are %q, which is %d", n, width, c.text, total)
			}
			if width == 0 && strings.Contains(string(c.text), "+") {
				t.Errorf("without a terminal owners are folded: %q", c.text)
			}
		}
	}
}

// Shortened, a list of owners still counts them all, and a pair names both ends.
func TestShortenProcess(t *testing.T) {
	for _, c := range []struct {
		text  string
		width int
		want  string
	}{
		{"systemd 1, sshd 640", 40, "systemd 1, sshd 640"},
		{"systemd 1, sshd 640, cupsd 7, +2", 26, "systemd 1, sshd 640, +3"},
		{"systemd 1, sshd 640, cupsd 7, +2", 22, "systemd 1, +4"},
		{"systemd 1, sshd 640, cupsd 7, +2", 12, "sys…md 1, +4"},
		{"nginx 812,813 +6, certbot 9", 24, "nginx 812,813 +6, +1"},
		{`"a, b" 1, sshd 640`, 12, `"a, b" 1, +1`},
		{`"a, b" 1, sshd 640`, 10, `"a…" 1, +1`},
		{"curl 177", 7, "c…l 177"},
		{"curl 177", 6, "c… 177"},
		{"curl 177", 5, "… 177"},
		{"curl 177", 4, "177"},
		{"curl 177", 2, "177"},
		{"curl 4194304", 8, "4194304"},
		{"nginx 812,813 +6", 12, "nginx 812 +7"},
		{"nginx 812,813 +6", 8, "… 812 +7"},
		{"systemd 1234567, +6", 8, "1234567+"},
		{"app 1234 → postgres 731", 16, "a… 1234 → p… 731"},
		{"app 1234 → postgres 731", 12, "app 1234"},
		{"app 1234 → postgres 731", 6, "… 1234"},
		{"app 1234 → postgres 731  ×15", 28, "app 1234 → postgres 731  ×15"},
		{"app 1234 → postgres 731  ×15", 24, "app 1234 → po…s 731  ×15"},
		{"app 1234 -> postgres 731  x15", 25, "app 1234 -> po…s 731  x15"},
		{`"a → 1" 1234 → postgres 731`, 23, `"a…1" 1234 → pos…es 731`},
		{"(hidden: backup.service)", 16, "(hidden: bac…ce)"},
		{"(hidden: backup.service)", 10, "(hidden)"},
		{"- ← app 1234", 11, "- ← a… 1234"},
		{"- ← app 1234", 10, "-"},
		{"app 1234 → postgres 731", 21, "app 1234 → pos…es 731"},
		{"(accept queue of lazy 518)", 22, "(queue of lazy 518)"},
		{"(accept queue of lazy 518)", 18, "(queue of l…y 518)"},
		{"(accept queue of lazy 518)", 12, "(queue)"},
		{"(accept queue of lazy 5181) ← lazy 5181", 32, "(queue of lazy 5181) ← lazy 5181"},
		{"(accept queue of lazy 5181) ← lazy 5181", 25, "(queue) ← lazy 5181"},
		{"(accept queue of postgres 5181) ← postgres 5181", 22, "(queue) ← po…es 5181"},
	} {
		got, took := shortenProcess(nil, []byte(c.text), c.width)
		if string(got) != c.want || took != textWidth(got) || took > max(c.width, len("4194304")) {
			t.Errorf("%s in %d columns is %s (%d), want %s", c.text, c.width, got, took, c.want)
		}
	}
}

// The limit of an accept queue is not always known.
func TestTable_Queued(t *testing.T) {
	for limit, want := range map[uint32]string{0: " * 3 queued ", 511: " * 3/511 queued "} {
		l := with(session(whose.TCP, whose.Listen, "0.0.0.0:1", "0.0.0.0:0"), func(s *whose.Session) { s.RecvQueue, s.SendQueue = 3, limit })
		if got := rendered(t, Table, Options{}, []whose.Session{l}); !strings.Contains(got, want) {
			t.Errorf("want %q in %s", want, got)
		}
	}
}

// Datagrams that nobody has read are shown, of a socket with another side too, and
// go before the port does.
func TestTable_Unread(t *testing.T) {
	unread := func(local, remote string) []whose.Session {
		s := session(whose.UDP, whose.Unconn, local, remote)
		s.RecvQueue = 4608
		return []whose.Session{s}
	}
	for _, c := range []struct{ remote, want string }{
		{"0.0.0.0:0", " * 4.6 kB unread "}, {"127.0.0.1:53", " 127.0.0.1:53 4.6 kB unread "},
	} {
		if got := rendered(t, Table, Options{}, unread("127.0.0.1:7000", c.remote)); !strings.Contains(got, c.want) {
			t.Errorf("want %q in %s", c.want, got)
		}
	}
	for _, c := range []struct {
		width int
		want  string
	}{
		{25, "127.0.0.1:53 4.6 kB"}, {18, "127.0.0.1:53"}, {11, "127.…0.1:53"},
	} {
		if got, took := shortenEndpoint(nil, []byte("127.0.0.1:53 4.6 kB unread"), c.width); string(got) != c.want || took > c.width {
			t.Errorf("in %d columns: %s, want %s", c.width, got, c.want)
		}
	}
	tcp := session(whose.TCP, whose.Established, "127.0.0.1:7000", "127.0.0.1:53")
	tcp.RecvQueue = 4608
	if got := rendered(t, Table, Options{}, []whose.Session{tcp}); strings.Contains(got, "unread") {
		t.Errorf("a stream on its way is shown as unread: %s", got)
	}
}

// The wide table is fitted like the other: it has more columns where there is
// room for them, and no line is wider than the terminal.
func TestTable_Wide(t *testing.T) {
	for name, sessions := range samples() {
		for _, width := range []int{40, 80, 120, 200} {
			for line := range strings.Lines(rendered(t, Wide, Options{Width: width}, sessions)) {
				checkLine(t, strings.TrimSuffix(line, "\n"), width)
			}
		}
		if text := rendered(t, Wide, Options{Width: 1000}, sessions); strings.Contains(text, ellipsis) {
			t.Errorf("%s: shortened in a thousand columns:\n%s", name, text)
		}
	}
}

// Added columns stand before the process, whose column is ragged; what the
// table shows already is not shown twice, and stays.
func TestTable_Added(t *testing.T) {
	sessions := []whose.Session{*sampleSession(), session(whose.TCP, whose.Listen, "0.0.0.0:1", "0.0.0.0:0")}
	for _, c := range []struct {
		format, fields string
		width          int
		want           string
	}{
		{Table, "rtt unit", 200, "PROTO STATE LOCAL REMOTE NETNS USER RTT UNIT PROCESS"},
		{Table, "rtt unit", 0, "PROTO STATE LOCAL DIR REMOTE NETNS USER RTT UNIT PROCESS"},
		{Table, "user inode", 60, "STATE LOCAL REMOTE NETNS USER INODE PROCESS"},
		{Table, "comm proto", 200, "PROTO STATE LOCAL REMOTE NETNS USER PROCESS"},
		{Wide, "pid container", 400, "PROTO FAMILY STATE RECV-Q SEND-Q LOCAL REMOTE NETNS USER INODE UNIT CONTAINER SCRIPT PID PROCESS"},
	} {
		text := rendered(t, c.format, Options{Width: c.width, Added: fieldsNamed(c.fields)}, sessions)
		head, _, _ := strings.Cut(text, "\n")
		if got := strings.Join(strings.Fields(head), " "); got != c.want {
			t.Errorf("%s with %s at %d columns: %s, want %s", c.format, c.fields, c.width, got, c.want)
		}
		if needs := Needs(c.format, Options{Added: fieldsNamed(c.fields)}); !needs.Has(whose.FieldByName(strings.Fields(c.fields)[0]).Needs) {
			t.Errorf("%s is shown and not needed", c.fields)
		}
	}
}

func TestAmbiguous(t *testing.T) {
	for name, want := range map[string]bool{
		"nginx": false, "tmux: server": false, "kworker/0:1": false, "データベース": false, "a+b": false, "x86": false, "†": false,
		"a, b": true, "a 1": true, "a +1": true, `a"`: true, "(hidden)": true, "a)": true, " a": true, "a ": true,
		"a → b": true, "a←b": true, "↔": true, "a -> b": true, "a<-b": true, "a-b": false, "a>b": false,
	} {
		if got := ambiguous(name); got != want {
			t.Errorf("ambiguous(%q) = %v", name, got)
		}
	}
}

// No name reads as a list of other names.
func TestOwnersCell_Quotes(t *testing.T) {
	tab := newTable(Table, &Options{})
	for name, want := range map[string]string{
		`a" 1, "b`: `"a\" 1, \"b" 7`,
		`a, \`:     `"a, \\" 7`,
		"\"\x1b":   `"\"\x1b" 7`,
		`"\x1b`:    `"\"\\x1b" 7`,
		`a b`:      `a b 7`,
		`a\b`:      `a\b 7`,
	} {
		var c cell
		tab.ownersCell(&c, owners(process(7, name)), 0)
		if string(c.text) != want || c.width != len(want) {
			t.Errorf("the process %q is shown as %s in %d columns, want %s", name, c.text, c.width, want)
		}
	}
}

// The device that a listener is bound to, or the zone of its address, stands with
// the address, and nothing that a device is named acts on the terminal.
func TestLocalCell_Device(t *testing.T) {
	tab := newTable(Table, &Options{})
	for _, c := range []struct{ local, scope, device, want string }{
		{"0.0.0.0:68", "", "", "0.0.0.0:68"},
		{"0.0.0.0:68", "", "eth0", "0.0.0.0%eth0:68"},
		{"[::]:546", "", "eth0", "[::%eth0]:546"},
		{"[fe80::1]:546", "eth1", "", "[fe80::1%eth1]:546"},
		{"[fe80::1]:546", "eth1", "eth1", "[fe80::1%eth1]:546"},
		{"[2001:db8::1]:546", "eth1", "", "[2001:db8::1]:546"},
		{"10.0.0.5:443", "", "a\x1b]b", `10.0.0.5%a\x1b]b:443`},
	} {
		var got cell
		tab.localCell(&got, &whose.Session{Local: netip.MustParseAddrPort(c.local), Scope: c.scope, BoundDev: c.device, State: whose.Unconn})
		if string(got.text) != c.want || got.width != len(c.want) {
			t.Errorf("%s of %q, bound to %q, is %s in %d columns, want %s", c.local, c.scope, c.device, got.text, got.width, c.want)
		}
	}
}

func TestTable_Empty(t *testing.T) {
	if got := rendered(t, Table, Options{Width: 80}, nil); got != "" {
		t.Errorf("a table of nothing is %q, want nothing", got)
	}
}

// The blank line stands between listeners and others, and only where listeners
// come first and together.
func TestTable_Parted(t *testing.T) {
	l := session(whose.TCP, whose.Listen, "0.0.0.0:1", "0.0.0.0:0")
	e := session(whose.TCP, whose.Established, "1.1.1.1:1", "1.1.1.1:2")
	for _, c := range []struct {
		sessions []whose.Session
		width    int
		want     int
	}{
		{[]whose.Session{l, l, e, e}, 80, 3},
		{[]whose.Session{l, l, e, e}, 0, -1},
		{[]whose.Session{l, e, l}, 80, -1},
		{[]whose.Session{e, l}, 80, -1},
		{[]whose.Session{l, l}, 80, -1},
		{[]whose.Session{e, e}, 80, -1},
		{[]whose.Session{l}, 80, -1},
		{[]whose.Session{e}, 80, -1},
	} {
		lines := strings.Split(strings.TrimSuffix(rendered(t, Table, Options{Width: c.width}, c.sessions), "\n"), "\n")
		if got := slices.Index(lines, ""); got != c.want {
			t.Errorf("blank line at %d, want %d, in %q", got, c.want, lines)
		}
	}
}

// Without a terminal every line has as many words as the titles, as long as
// names hold no blanks: what awk counts on.
func TestTable_Words(t *testing.T) {
	text := rendered(t, Table, Options{}, []whose.Session{
		session(whose.TCP, whose.Listen, "0.0.0.0:1", "0.0.0.0:0"),
		with(session(whose.TCP, whose.Established, "1.1.1.1:1", "1.1.1.1:2"), func(s *whose.Session) { s.Direction = whose.In }),
	})
	for line := range strings.Lines(text) {
		if n := len(strings.Fields(line)); n != 7 {
			t.Errorf("%d words in %q, want 7", n, line)
		}
	}
}

// A long cell puts its own line out of line, not every line.
func TestTable_LongCell(t *testing.T) {
	p := process(1, "a")
	p.Cmdline = strings.Repeat("x", maxText)
	sessions := []whose.Session{
		session(whose.TCP, whose.Listen, "0.0.0.0:1", "0.0.0.0:0", owners(p)...),
		session(whose.TCP, whose.Listen, "0.0.0.0:2", "0.0.0.0:0", owners(process(2, "b"))...),
	}
	lines := strings.Split(rendered(t, Table, Options{Fields: fieldsNamed("cmdline pid")}, sessions), "\n")
	if !strings.HasPrefix(lines[1], p.Cmdline) || len(lines[2]) > 2*widestPadded {
		t.Errorf("lines of %d and %d bytes, want the first whole and the second short", len(lines[1]), len(lines[2]))
	}
}

func FuzzTableWidth(f *testing.F) {
	f.Add(uint64(1), 80)
	f.Fuzz(func(t *testing.T, seed uint64, width int) {
		if width < 0 || width > 1000 {
			return
		}
		sessions := randomSessions(5, seed)
		for line := range strings.Lines(rendered(t, Table, Options{Width: width}, sessions)) {
			checkLine(t, strings.TrimSuffix(line, "\n"), max(width, 28)*min(width, 1))
		}
	})
}
