package render

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/lots"
)

// A joinedList is sessions in memory that face each other by addresses and ports.
type joinedList struct{ lots.Slice }

func (l joinedList) OtherEnds() func(int) int {
	return func(i int) int {
		for j, o := range l.Slice {
			if s := &l.Slice[i]; j != i && o.Local == s.Remote && o.Remote == s.Local {
				return j
			}
		}
		return -1
	}
}

// conversation makes both ends of a session between two processes of this host.
func conversation(port uint16, change ...func(client, server *whose.Session)) []whose.Session {
	app, postgres := owners(process(178, "app")), owners(process(151, "postgres"))
	client := session(whose.TCP, whose.Established, fmt.Sprintf("127.0.0.1:%d", port), "127.0.0.1:5432", app...)
	server := session(whose.TCP, whose.Established, "127.0.0.1:5432", fmt.Sprintf("127.0.0.1:%d", port), postgres...)
	client.Direction, server.Direction = whose.Out, whose.In
	client.Peer, server.Peer = postgres, app
	for _, c := range change {
		c(&client, &server)
	}
	return []whose.Session{server, client}
}

func foldedTable(t *testing.T, opts Options, sessions []whose.Session) (text string, rows *Folded) {
	t.Helper()
	r, err := New(Table, opts)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	rows = Fold(joinedList{sessions})
	if err := r.Write(&b, rows, nil); err != nil {
		t.Fatal(err)
	}
	return b.String(), rows
}

func TestFold_Equal(t *testing.T) {
	var sessions []whose.Session
	for port := range uint16(5) {
		sessions = append(sessions, conversation(40000+7*port)...)
	}
	text, rows := foldedTable(t, Options{Width: 200, NoHeader: true}, sessions)
	if want := "127.0.0.1:40000-40028 → 127.0.0.1:5432  www-data  app 178 → postgres 151  ×5\n"; rows.Len() != 1 || !strings.HasSuffix(text, want) {
		t.Errorf("%d rows, want one that ends in %s:\n%s", rows.Len(), want, text)
	}
	if rows.Sessions() != 10 {
		t.Errorf("the row stands for %d sessions, want 10", rows.Sessions())
	}
	for width := 40; width < 120; width++ {
		line, _ := foldedTable(t, Options{Width: width, NoHeader: true}, sessions)
		checkLine(t, strings.TrimSuffix(line, "\n"), width)
		for _, number := range []string{"40000-40028 ", ":5432 ", " 178", "×5"} {
			if !strings.Contains(line, number) {
				t.Errorf("%d columns: %s is missing or cut in %s", width, number, line)
			}
		}
	}
}

// A difference that matters is never folded away.
func TestFold_Differences(t *testing.T) {
	type ends = func(client, server *whose.Session)
	other := owners(process(999, "app"))
	for _, c := range []struct {
		rule     string
		change   ends
		pair     int // rows of one such conversation
		together int // rows of one such and a usual one
	}{
		{"nothing", func(c, s *whose.Session) {}, 1, 1},
		{"the client's owners", func(c, s *whose.Session) { c.Owners, s.Peer = other, other }, 1, 2},
		{"the server's owners", func(c, s *whose.Session) { s.Owners, c.Peer = other, other }, 1, 2},
		{"an owner that the other end does not name", func(c, s *whose.Session) { s.Owners = other }, 2, 2},
		{"states", func(c, s *whose.Session) { c.State, s.State = whose.FinWait2, whose.CloseWait }, 2, 3},
		{"the namespace of both", func(c, s *whose.Session) { c.NetNS, s.NetNS = 7, 7 }, 1, 2},
		{"the namespaces of the ends", func(c, s *whose.Session) { s.NetNS = 7 }, 2, 2},
		{"the mark of both", func(c, s *whose.Session) { c.Mark, s.Mark = 7, 7 }, 1, 2},
		{"the marks of the ends", func(c, s *whose.Session) { s.Mark = 7 }, 2, 2},
		{"the device of one end", func(c, s *whose.Session) { s.BoundDev = "eth0" }, 2, 2},
		{"the user of the client", func(c, s *whose.Session) { c.UID, c.User = 7, "seven" }, 1, 2},
		{"the accept queue", func(c, s *whose.Session) { s.Reason = whose.ReasonAcceptQueue }, 2, 2},
		{"a hidden owner", func(c, s *whose.Session) { s.Owners, c.Peer, s.Reason = nil, nil, whose.ReasonHidden }, 2, 3},
		{"the protocol", func(c, s *whose.Session) { c.Proto, s.Proto = whose.MPTCP, whose.MPTCP }, 1, 2},
		{"unread datagrams", func(c, s *whose.Session) { c.Proto, s.Proto, s.RecvQueue = whose.UDP, whose.UDP, 9 }, 2, 3},
		{"bytes of a stream on their way", func(c, s *whose.Session) { s.RecvQueue = 9 }, 1, 1},
		{"both ends connected", func(c, s *whose.Session) { s.Direction = whose.Out }, 1, 2},
		{"nobody knows who began", func(c, s *whose.Session) { c.Direction, s.Direction = 0, 0 }, 1, 2},
		{"one direction is not known", func(c, s *whose.Session) { s.Direction = 0 }, 2, 2},
	} {
		one := conversation(41000, c.change)
		if got := Fold(joinedList{one}); got.Len() != c.pair || got.Sessions() != 2 {
			t.Errorf("%s: one conversation is %d rows of %d sessions, want %d of 2", c.rule, got.Len(), got.Sessions(), c.pair)
		}
		two := append(conversation(40000), one...)
		if got := Fold(joinedList{two}); got.Len() != c.together || got.Sessions() != 4 {
			text, _ := foldedTable(t, Options{Width: 200}, two)
			t.Errorf("%s: with a usual conversation %d rows of %d sessions, want %d of 4:\n%s", c.rule, got.Len(), got.Sessions(), c.together, text)
		}
	}
}

// An end alone in the list, since the filter met no other, keeps its own view.
func TestFold_OneEnd(t *testing.T) {
	var servers, strangers []whose.Session
	for port := range uint16(3) {
		servers = append(servers, conversation(40000 + port)[0])
		strangers = append(strangers, with(session(whose.TCP, whose.Established, "10.0.0.5:443", "203.0.113.7:51234", owners(process(9, "nginx"))...), func(s *whose.Session) {
			s.Direction, s.Remote = whose.In, netip.AddrPortFrom(s.Remote.Addr(), 50000+port)
		}))
	}
	text, rows := foldedTable(t, Options{Width: 200, NoHeader: true}, servers)
	if want := "127.0.0.1:5432 ← 127.0.0.1:40000-40002  www-data  postgres 151 ← app 178  ×3\n"; rows.Len() != 1 || !strings.HasSuffix(text, want) {
		t.Errorf("%d rows, want one that ends in %s:\n%s", rows.Len(), want, text)
	}
	if rows = Fold(joinedList{strangers}); rows.Len() != 3 {
		t.Errorf("sessions with other hosts are %d rows, want 3", rows.Len())
	}
}

// Of two ends that connected at once neither began.
func TestFold_Both(t *testing.T) {
	text, _ := foldedTable(t, Options{Width: 200, NoHeader: true}, conversation(40000, func(c, s *whose.Session) { s.Direction = whose.Out }))
	if want := "127.0.0.1:5432 ↔ 127.0.0.1:40000  www-data  postgres 151 ↔ app 178\n"; !strings.HasSuffix(text, want) {
		t.Errorf("want %s, got %s", want, text)
	}
}

// Where all owners are hidden, the rows of each end are one.
func TestFold_Hidden(t *testing.T) {
	var sessions []whose.Session
	for port := range uint16(4) {
		sessions = append(sessions, conversation(40000+port, func(c, s *whose.Session) {
			for _, end := range []*whose.Session{c, s} {
				end.Owners, end.Peer, end.Reason = nil, nil, whose.ReasonHidden
			}
		})...)
	}
	if text, rows := foldedTable(t, Options{Width: 100}, sessions); rows.Len() != 2 || rows.Sessions() != 8 {
		t.Errorf("%d rows of %d sessions, want 2 of 8:\n%s", rows.Len(), rows.Sessions(), text)
	}
}

func TestFold_First(t *testing.T) {
	var sessions []whose.Session
	for port := range uint16(3) {
		sessions = append(sessions, conversation(40000+port, func(c, s *whose.Session) { c.Mark, s.Mark = uint32(port)+1, uint32(port)+1 })...)
	}
	rows := Fold(joinedList{sessions})
	for n, want := range []int{0, 2, 4, 6, 6} {
		if first := rows.First(n); first.Len() != min(n, 3) || first.Sessions() != want {
			t.Errorf("the first %d rows are %d of %d sessions, want %d", n, first.Len(), first.Sessions(), want)
		}
	}
}

func TestGolden_Folded(t *testing.T) {
	sessions := webHost()
	for port := range uint16(4) {
		sessions = append(sessions, conversation(40400+3*port)...)
	}
	sessions = append(sessions, conversation(40500, func(c, s *whose.Session) { c.State, s.State = whose.FinWait2, whose.CloseWait })...)
	var screens []txtar.File
	for _, width := range []int{200, 120, 80, 60} {
		text, _ := foldedTable(t, Options{Width: width, OwnNetNS: sampleNetNS}, sessions)
		screens = append(screens, screen(fmt.Sprintf("table, %d columns", width), text))
	}
	golden(t, "folded", screens)
}
