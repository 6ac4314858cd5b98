package zabbix

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/internal/tally"
)

var updateDocument = flag.Bool("update-document", false, "write testdata/document.json anew")

const hostSpace = 4026531840

var boot = time.Unix(1_700_000_000, 0)

// process makes a process that started at a second of its own.
func process(pid uint32, comm, unit, user string) *whose.Process {
	return &whose.Process{PID: pid, StartTime: boot.Add(time.Duration(pid) * time.Second), Comm: comm, Unit: unit, User: user}
}

func owners(all ...*whose.Process) []whose.Owner {
	var list []whose.Owner
	for i, p := range all {
		list = append(list, whose.Owner{Process: p, FDs: []int32{int32(3 + i)}})
	}
	return list
}

func tcp(state whose.State, local, remote string, by ...*whose.Process) whose.Session {
	s := whose.Session{
		Proto: whose.TCP, Family: whose.IPv4, State: state, NetNS: hostSpace, User: "root",
		Local: netip.MustParseAddrPort(local), Owners: owners(by...),
	}
	if s.Local.Addr().Is6() {
		s.Family = whose.IPv6
	}
	if remote == "" {
		remote = "0.0.0.0:0"
		if s.Family == whose.IPv6 {
			remote = "[::]:0"
		}
	}
	s.Remote = netip.MustParseAddrPort(remote)
	if !s.IsListener() {
		s.Direction = whose.Out
	}
	if len(by) == 0 && !s.IsListener() {
		s.Reason = whose.ReasonOrphan
	}
	return s
}

func in(s whose.Session) whose.Session {
	s.Direction = whose.In
	return s
}

func udp(state whose.State, local, remote string, by ...*whose.Process) whose.Session {
	s := tcp(state, local, remote, by...)
	s.Proto = whose.UDP
	return s
}

// hostOf is a host with one of everything that matters to the document.
func hostOf() []whose.Session {
	master, worker := process(10, "nginx", "nginx.service", "root"), process(11, "nginx", "nginx.service", "www-data")
	curl := process(900, "curl {#X}\n", "session-7.scope", "ann")
	sshd, systemd := process(40, "sshd", "ssh.service", "root"), process(1, "systemd", "init.scope", "root")
	resolver := process(30, "resolved", "systemd-resolved.service", "resolve")
	app := process(50, "app", "docker-0123456789abcdef.scope", "root")
	app.Container = "0123456789ab"

	listen := tcp(whose.Listen, "0.0.0.0:80", "", worker, master)
	listen.RecvQueue, listen.SendQueue = 3, 511
	own := tcp(whose.Listen, "10.0.0.5:80", "", master)
	dual := tcp(whose.Listen, "[::]:22", "", systemd, sshd)
	inside := tcp(whose.Listen, "0.0.0.0:80", "", app)
	inside.NetNS, inside.NetNSName = 4026532300, "app"
	hidden := tcp(whose.Listen, "0.0.0.0:5432", "")
	hidden.Reason, hidden.Unit, hidden.User = whose.ReasonHidden, "postgresql@15-main.service", "postgres"
	wireguard := udp(whose.Unconn, "0.0.0.0:51820", "")
	wireguard.Reason = whose.ReasonKernel
	linkLocal := udp(whose.Unconn, "[fe80::1]:546", "", process(60, "dhcp", "net.service", "root"))
	linkLocal.Scope = "eth0"
	mapped := in(tcp(whose.Established, "192.0.2.1:22", "198.51.100.9:40000", sshd))
	mapped.Family = whose.IPv6
	queued := in(tcp(whose.Established, "192.0.2.1:80", "198.51.100.2:1000", master, worker))
	queued.Reason = whose.ReasonAcceptQueue
	contained := in(tcp(whose.Established, "172.17.0.2:80", "172.17.0.1:5000", app))
	contained.NetNS, contained.NetNSName = 4026532300, "app"
	return []whose.Session{
		listen, own, dual, inside, hidden, wireguard, linkLocal,
		udp(whose.Unconn, "127.0.0.53:53", "", resolver),
		udp(whose.Unconn, "0.0.0.0:40001", "", resolver), udp(whose.Unconn, "0.0.0.0:40002", "", resolver),
		udp(whose.Established, "192.0.2.1:40003", "198.51.100.53:53", resolver),
		queued, mapped, contained,
		in(tcp(whose.Established, "192.0.2.1:80", "198.51.100.1:1000", worker)),
		in(tcp(whose.Established, "192.0.2.1:80", "198.51.100.1:1001", worker)),
		in(tcp(whose.CloseWait, "10.0.0.5:80", "198.51.100.3:1000", worker)),
		in(tcp(whose.TimeWait, "192.0.2.1:80", "198.51.100.4:1000")),
		in(tcp(whose.SynRecv, "192.0.2.1:80", "198.51.100.5:1000")),
		tcp(whose.TimeWait, "192.0.2.1:50000", "198.51.100.6:443"),
		tcp(whose.SynSent, "192.0.2.1:50001", "198.51.100.7:443", curl),
		tcp(whose.Established, "127.0.0.1:50002", "127.0.0.1:80", curl),
	}
}

// options are those of the count and of the document.
type options struct {
	tally.HostOptions
	Options
}

func usual() options {
	return options{tally.HostOptions{NetNS: hostSpace}, Options{Version: "1.2.3"}}
}

func documentOf(t *testing.T, o options, sessions []whose.Session) *Document {
	t.Helper()
	h := tally.NewHost(o.HostOptions)
	c := whose.Coverage{Source: "bpf", Duration: 12500 * time.Microsecond, OwnersAsked: true}
	for i := range sessions {
		h.Add(&sessions[i])
		if sessions[i].Reason == whose.ReasonNone {
			c.Owned++
		} else {
			c.Ownerless[sessions[i].Reason]++
		}
	}
	return NewDocument(h.Count(), &c, o.Options)
}

// TestDocument shows the whole document of a host, as it is printed.
func TestDocument(t *testing.T) {
	got, err := documentOf(t, usual(), hostOf()).Encode(MaxSize, true)
	if err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/document.json"
	if *updateDocument {
		if err := os.WriteFile(golden, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(bytes.TrimSpace(want)), string(got)); diff != "" {
		t.Errorf("document (-want +got):\n%s", diff)
	}
}

// TestDocument_AnyOrder shows that the order of sessions does not matter.
func TestDocument_AnyOrder(t *testing.T) {
	want := documentOf(t, usual(), hostOf())
	sessions := hostOf()
	for range 20 {
		rand.Shuffle(len(sessions), func(i, j int) { sessions[i], sessions[j] = sessions[j], sessions[i] })
		if diff := cmp.Diff(want, documentOf(t, usual(), sessions)); diff != "" {
			t.Fatalf("another order (-want +got):\n%s", diff)
		}
	}
}

// TestDiscovery_Stable shows that what changes all the time changes no byte of
// discovery: PIDs, start times, workers, counts, queues, other ends.
func TestDiscovery_Stable(t *testing.T) {
	before := documentOf(t, usual(), hostOf())
	later := hostOf()
	moved := map[*whose.Process]*whose.Process{}
	for i := range later {
		s := &later[i]
		s.RecvQueue += uint32(i)
		s.Inode, s.Cookie = uint64(1000+i), uint64(i)
		for k := range s.Owners {
			p := s.Owners[k].Process
			if moved[p] == nil {
				again := *p
				again.PID += 5000
				again.StartTime = again.StartTime.Add(time.Hour)
				if again.Unit == "session-7.scope" {
					again.Unit = "session-8.scope"
				}
				moved[p] = &again
			}
			s.Owners[k].Process = moved[p]
		}
	}
	worker := process(7000, "nginx-helper", "nginx.service", "www-data")
	later[0].Owners = append(later[0].Owners, owners(worker)...)
	for i := range 50 {
		later = append(later, in(tcp(whose.Established, "192.0.2.1:80", fmt.Sprintf("203.0.113.%d:999", i), later[1].Owners[0].Process)))
	}
	after := documentOf(t, usual(), later)
	for name, get := range map[string]func(*Document) ([]byte, error){
		"listeners": func(d *Document) ([]byte, error) { return EncodeRows(d.Discovery.Listeners, false) },
		"processes": func(d *Document) ([]byte, error) {
			rows := slices.DeleteFunc(slices.Clone(d.Discovery.Processes), func(r ProcessRow) bool { return r.Process == "nginx-helper" })
			return EncodeRows(rows, false)
		},
	} {
		a, err := get(before)
		if err != nil {
			t.Fatal(err)
		}
		b, err := get(after)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(a), string(b)); diff != "" {
			t.Errorf("discovery of %s changed:\n%s", name, diff)
		}
	}
}

func rowAt(t *testing.T, d *Document, addr, port, netns string) (ListenerRow, Listener) {
	t.Helper()
	for _, r := range d.Discovery.Listeners {
		if r.Addr == addr && r.Port == port && r.NetNS == netns {
			return r, d.Listeners[r.ID]
		}
	}
	t.Fatalf("no listener on %s port %s in %q: %+v", addr, port, netns, d.Discovery.Listeners)
	return ListenerRow{}, Listener{}
}

// TestListener_Closest shows that connections count for the listener that took them.
func TestListener_Closest(t *testing.T) {
	p, q := process(5, "p", "", "u"), process(6, "q", "", "u")
	only := tcp(whose.Listen, "[::]:1", "", p)
	only.V6Only = true
	elsewhere := tcp(whose.Listen, "0.0.0.0:1", "", p)
	elsewhere.NetNS = 77
	mapped := in(tcp(whose.Established, "192.0.2.1:2", "192.0.2.9:7", p))
	mapped.Family = whose.IPv6
	sessions := []whose.Session{
		only, elsewhere,
		tcp(whose.Listen, "0.0.0.0:1", "", p), tcp(whose.Listen, "192.0.2.1:1", "", p),
		tcp(whose.Listen, "[::]:2", "", p), tcp(whose.Listen, "127.0.0.1:2", "", p),
		tcp(whose.Listen, "0.0.0.0:3", "", p), tcp(whose.Listen, "0.0.0.0:3", "", q),
		in(tcp(whose.Established, "192.0.2.1:1", "192.0.2.9:1", p)),
		in(tcp(whose.Established, "192.0.2.2:1", "192.0.2.9:2", p)),
		in(tcp(whose.Established, "192.0.2.2:1", "192.0.2.9:3", p)),
		in(tcp(whose.Established, "[2001:db8::1]:1", "[2001:db8::2]:3", p)),
		mapped, in(tcp(whose.Established, "192.0.2.1:2", "192.0.2.9:8", p)),
		in(tcp(whose.Established, "192.0.2.1:3", "192.0.2.8:8", q)), in(tcp(whose.Established, "192.0.2.1:3", "192.0.2.9:8", q)),
	}
	d := documentOf(t, usual(), sessions)
	for _, want := range []struct {
		addr, port, netns  string
		established, hosts int
	}{
		{"192.0.2.1", "1", "", 1, 1}, {"0.0.0.0", "1", "", 2, 1}, {"::", "1", "", 1, 1}, {"0.0.0.0", "1", "77", 0, 0},
		{"::", "2", "", 2, 1}, {"127.0.0.1", "2", "", 0, 0},
	} {
		_, got := rowAt(t, d, want.addr, want.port, want.netns)
		if got.Established != want.established || got.RemoteHosts != want.hosts {
			t.Errorf("%s port %s in %q: %d connections of %d hosts, want %d of %d",
				want.addr, want.port, want.netns, got.Established, got.RemoteHosts, want.established, want.hosts)
		}
	}
	for _, r := range d.Discovery.Listeners {
		want := map[string]int{"p": 0, "q": 2}[r.Process]
		if got := d.Listeners[r.ID].Established; r.Port == "3" && got != want {
			t.Errorf("port 3, process %s: %d connections, want %d", r.Process, got, want)
		}
	}
}

func TestNetNS(t *testing.T) {
	boxed := process(7, "pause", "", "root")
	boxed.Container = "aaaaaaaaaaaa"
	other := process(8, "web", "", "root")
	other.Container = "bbbbbbbbbbbb"
	at := func(inode uint32, name string, by ...*whose.Process) whose.Session {
		s := tcp(whose.Listen, "0.0.0.0:1", "", by...)
		s.NetNS, s.NetNSName = inode, name
		return s
	}
	o := usual()
	o.NetNSNames = map[uint32]string{100: "blue"}
	d := documentOf(t, o, []whose.Session{
		at(hostSpace, "whatever", process(1, "x", "", "root")),
		at(100, "blue", boxed),
		at(101, "cccccccccccc", boxed),                    // named for the container in it
		at(102, "sleep", process(2, "sleep", "", "root")), // named for a process
		at(103, "web", other), at(103, "web", boxed),
	})
	var got []string
	for _, r := range d.Discovery.Listeners {
		got = append(got, r.NetNS+" "+r.Process)
	}
	want := []string{" x", "102 sleep", "aaaaaaaaaaaa pause", "aaaaaaaaaaaa web", "blue pause", "cccccccccccc pause"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestNameless shows that a process without a name is not taken for a hidden
// one, and that one which has ended meanwhile does not name a listener.
func TestNameless(t *testing.T) {
	gone := &whose.Process{PID: 3}
	d := documentOf(t, usual(), []whose.Session{
		tcp(whose.Listen, "0.0.0.0:1", "", process(9, " ", "", "u")),
		tcp(whose.Listen, "0.0.0.0:2", "", process(5, "nginx", "", "u"), gone),
	})
	row, _ := rowAt(t, d, "0.0.0.0", "1", "")
	other, values := rowAt(t, d, "0.0.0.0", "2", "")
	if row.Process != "?" || other.Process != "nginx" || values.Holders != "?, nginx" {
		t.Errorf("%q, %q held by %q", row.Process, other.Process, values.Holders)
	}
}

// TestDocument_SameNames shows that programs and listeners whose names are the
// same once they are safe are one row, which has the values of all.
func TestDocument_SameNames(t *testing.T) {
	brace, bracket := process(5, "a{", "x.service", "u"), process(6, "a(", "x.service", "u")
	d := documentOf(t, usual(), []whose.Session{
		tcp(whose.Listen, "0.0.0.0:1", "", brace), tcp(whose.Listen, "0.0.0.0:1", "", bracket),
		in(tcp(whose.Established, "192.0.2.1:1", "192.0.2.9:1", brace)),
		in(tcp(whose.Established, "192.0.2.1:1", "192.0.2.8:1", bracket)),
	})
	row, values := rowAt(t, d, "0.0.0.0", "1", "")
	if row.Process != "a(" || values.Sockets != 2 || values.Established != 2 || values.Holders != "a(" {
		t.Errorf("listener %+v: %+v", row, values)
	}
	if len(d.Discovery.Processes) != 1 || len(d.Processes) != 1 || d.Totals.Processes != 1 {
		t.Fatalf("%d rows, %d values, %d in the totals, want one", len(d.Discovery.Processes), len(d.Processes), d.Totals.Processes)
	}
	want := Process{Processes: 2, Sessions: 4, Listening: 2, Established: 2, In: 2, RemoteHosts: 2}
	if diff := cmp.Diff(want, d.Processes[d.Discovery.Processes[0].ID]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEphemeral(t *testing.T) {
	sessions := hostOf()
	o := usual()
	o.Ephemeral, o.EphemeralPorts = true, filter.PortRange{First: 40002, Last: 60000}
	d := documentOf(t, o, sessions)
	for port, want := range map[string]string{"40001": "0", "40002": "1", "51820": "0", "53": "0"} {
		i := slices.IndexFunc(d.Discovery.Listeners, func(r ListenerRow) bool { return r.Port == port })
		if i < 0 || d.Discovery.Listeners[i].Ephemeral != want {
			t.Errorf("port %s: want a row with %s", port, want)
		}
	}
	if d.Totals.UDPEphemeral != 1 {
		t.Errorf("%d on ephemeral ports, want 1", d.Totals.UDPEphemeral)
	}
}

// TestIDs_Collision shows that rows whose hashes are the same get ids of their own.
func TestIDs_Collision(t *testing.T) {
	x := newIDs(0)
	x.hash = func(_ []string, attempt int) string { return fmt.Sprint(attempt) }
	a, known := x.of([]string{"a"})
	b, knownB := x.of([]string{"b"})
	again, knownAgain := x.of([]string{"b"})
	if known || knownB || !knownAgain || a.text == b.text || again != b || b.place != 1 {
		t.Errorf("%v %v, %v %v, %v %v", a, known, b, knownB, again, knownAgain)
	}
	if hashOf([]string{"ab", "c"}, 0) == hashOf([]string{"a", "bc"}, 0) {
		t.Error("two lists of facts read the same")
	}
}

func TestGaps(t *testing.T) {
	for name, c := range map[string]struct {
		gap       whose.Gap
		complete  bool
		discovery bool
		processes int
		spaces    int
		reason    string
	}{
		"processes":   {whose.Gap{Kind: whose.GapProcesses, Cause: whose.CausePermission, Count: 12}, true, true, 12, 0, "12 processes could not be looked into (permission denied)"},
		"unknown":     {whose.Gap{Kind: whose.GapProcesses, Cause: whose.CauseFailed, Detail: "{#X}"}, true, true, 1, 0, "some processes could not be looked into ((#X))"},
		"namespaces":  {whose.Gap{Kind: whose.GapNamespaces, Cause: whose.CauseLimit, Count: 1, Detail: "x"}, true, true, 0, 1, "1 network namespace could not be looked into (x)"},
		"interrupted": {whose.Gap{Kind: whose.GapTables, Cause: whose.CauseChanged, Count: 1, Detail: "x"}, false, true, 0, 0, "1 table could not be read in one piece (x)"},
		"sockets":     {whose.Gap{Kind: whose.GapSockets, Cause: whose.CauseUnsupported, Count: 3, Detail: "x"}, false, true, 0, 0, "3 sockets could not be read (x)"},
		"deadline":    {whose.Gap{Kind: whose.GapSessions, Cause: whose.CauseDeadline}, false, false, 0, 0, "some sessions could not be seen (the time allowed ran out)"},
	} {
		t.Run(name, func(t *testing.T) {
			h := tally.NewHost(usual().HostOptions)
			sessions := hostOf()
			for i := range sessions {
				h.Add(&sessions[i])
			}
			d := NewDocument(h.Count(), &whose.Coverage{Gaps: whose.Gaps{c.gap}}, usual().Options)
			if d.Complete != c.complete || d.Gaps.String() != c.reason || (len(d.Discovery.Listeners) > 0) != c.discovery ||
				d.Coverage.ProcessesHidden != c.processes || d.Coverage.NamespacesHidden != c.spaces {
				t.Errorf("%+v: complete %v, gaps %q, %d rows, coverage %+v", c.gap, d.Complete, d.Gaps, len(d.Discovery.Listeners), d.Coverage)
			}
		})
	}
}

// A limit that the source does not tell is left out, of absent rows too, so that
// the sum of both is no value.
func TestQueueLimit_Unknown(t *testing.T) {
	for _, unknown := range []whose.Facts{0, whose.FactSendQueue} {
		s := tcp(whose.Listen, "192.0.2.1:80", "", process(1, "nginx", "", "root"))
		s.RecvQueue, s.SendQueue, s.Unknown = 3, 10, unknown
		h := tally.NewHost(usual().HostOptions)
		h.Add(&s)
		text, err := NewDocument(h.Count(), &whose.Coverage{}, usual().Options).Encode(0, false)
		if err != nil {
			t.Fatal(err)
		}
		want := 2 // the listener, and a row that is not there
		if unknown != 0 {
			want = 0
		}
		for _, key := range []string{`"queue_limit":`, `"queue_used":`} {
			if n := strings.Count(string(text), key); n != want {
				t.Errorf("unknown %v: %s stands %d times, want %d, in %s", unknown, key, n, want, text)
			}
		}
	}
}

// TestFailed shows that a document without an answer has nothing that could be
// taken for one.
func TestFailed(t *testing.T) {
	text, err := Failed("1.2.3", whose.Gap{Kind: whose.GapAnswer, Cause: whose.CauseFailed, Detail: "open procfs: \"no\" such {#FILE}", Hint: "$1"}).Encode(MaxSize, false)
	const want = `{"schema":"whose-zabbix-v1","version":"1.2.3","source":"","pinned":false,"duration":0,` +
		`"complete":false,"partial":[{"kind":"answer","cause":"failed","detail":"open procfs: \"no\" such (#FILE)",` +
		`"why":"there is no answer (open procfs: \"no\" such (#FILE))","hint":"S1"}],"truncated":0}`
	if err != nil || string(text) != want {
		t.Errorf("%v\n%s\nwant\n%s", err, text, want)
	}
}

// busy makes n sessions of a host as large hosts are: listeners, clients from
// many addresses, and processes that talk to many.
func busy(n int) func(yield func(*whose.Session) bool) {
	return func(yield func(*whose.Session) bool) {
		procs := make([]*whose.Process, 1000)
		for i := range procs {
			procs[i] = process(uint32(100+i), fmt.Sprintf("app%04d", i%300), fmt.Sprintf("app%04d.service", i%300), "app")
		}
		var s whose.Session
		for i := range n {
			p := i % len(procs)
			remote := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
			local := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 1}), uint16(1000+p%200))
			s = whose.Session{Proto: whose.TCP, Family: whose.IPv4, NetNS: hostSpace, Local: local, State: whose.Established,
				Remote: netip.AddrPortFrom(remote, 9999), Direction: whose.In, Owners: owners(procs[p])}
			if i < 200 {
				s.State, s.Direction, s.Remote = whose.Listen, 0, netip.AddrPort{}
			}
			if !yield(&s) {
				return
			}
		}
	}
}

// TestDocument_Bounds shows that rows and hosts beyond the bounds are told of.
func TestDocument_Bounds(t *testing.T) {
	h := tally.NewHost(usual().HostOptions)
	p := process(5, "p", "", "u")
	for i := range tally.MaxRows + 10 {
		s := tcp(whose.Listen, fmt.Sprintf("10.%d.%d.%d:80", i>>16, i>>8&255, i&255), "", p)
		h.Add(&s)
	}
	for i := range tally.MaxRemoteHosts + 100 {
		s := tcp(whose.Established, "192.0.2.1:999", fmt.Sprintf("10.%d.%d.%d:80", i>>16, i>>8&255, i&255), p)
		h.Add(&s)
	}
	d := NewDocument(h.Count(), &whose.Coverage{}, Options{})
	if d.Totals.Listeners != tally.MaxRows+10 || d.Truncated != 10 || d.Complete || d.Totals.RemoteHosts != tally.MaxRemoteHosts {
		t.Errorf("totals %+v, truncated %d, complete %v", d.Totals, d.Truncated, d.Complete)
	}
}

// FuzzDocument shows that no names, addresses or ports break the JSON, its
// bound, or the tie of rows and values.
func FuzzDocument(f *testing.F) {
	f.Add("nginx", "nginx.service", "root", "", uint16(80), 3000)
	f.Add("{#WHOSE.ID}\n\x1b[31m\"", "a\\x2d", "{$X}", "\xff", uint16(40000), 900)
	f.Add("\u2028</script>", "session-1.scope", "$1", "../..", uint16(0), 5)
	f.Fuzz(func(t *testing.T, comm, unit, user, container string, port uint16, limit int) {
		if len(comm)+len(unit)+len(user)+len(container) > 4096 {
			return // longer than any name
		}
		h := tally.NewHost(tally.HostOptions{})
		for i := range 40 {
			p := process(uint32(i+1), comm[:len(comm)*i/40], unit, user)
			p.Container = container
			s := tcp(whose.Listen, fmt.Sprintf("192.0.2.%d:%d", i, port), "", p)
			s.NetNS, s.NetNSName, s.User = uint32(i%3), container, user
			h.Add(&s)
			c := in(tcp(whose.State(i%14+1), fmt.Sprintf("192.0.2.%d:%d", i, port), "198.51.100.1:5", p))
			c.NetNS = s.NetNS
			h.Add(&c)
		}
		d := NewDocument(h.Count(), &whose.Coverage{Gaps: whose.Gaps{{Kind: whose.GapSockets, Cause: whose.CauseFailed, Detail: comm, Hint: unit}}}, Options{})
		if limit < 6000 {
			limit += 6000 // what a document without rows needs
		}
		checkDocument(t, d, limit)
	})
}

// checkDocument encodes a document and checks what has to hold for each.
func checkDocument(t *testing.T, d *Document, limit int) {
	t.Helper()
	rows := len(d.Discovery.Listeners) + len(d.Discovery.Processes) + d.Truncated
	text, err := d.Encode(limit, false)
	if err != nil {
		t.Fatal(err)
	}
	if len(text) > limit {
		t.Errorf("%d bytes, want at most %d", len(text), limit)
	}
	if bytes.ContainsAny(text, "\n\r\x00") {
		t.Error("more than one line")
	}
	var back Document
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if diff := cmp.Diff(*d, back); diff != "" {
		t.Errorf("read back (-written +read):\n%s", diff)
	}
	for _, r := range back.Discovery.Listeners {
		if _, ok := back.Listeners[r.ID]; !ok {
			t.Errorf("row %s has no values", r.ID)
		}
	}
	for _, r := range back.Discovery.Processes {
		if _, ok := back.Processes[r.ID]; !ok {
			t.Errorf("row %s has no values", r.ID)
		}
	}
	if len(back.Listeners) != len(back.Discovery.Listeners) || len(back.Processes) != len(back.Discovery.Processes) {
		t.Errorf("%d and %d values for %d and %d rows", len(back.Listeners), len(back.Processes),
			len(back.Discovery.Listeners), len(back.Discovery.Processes))
	}
	if got := len(back.Listeners) + len(back.Processes) + back.Truncated; got != rows {
		t.Errorf("%d rows kept and left out, want %d", got, rows)
	}
}
