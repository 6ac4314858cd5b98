package filter

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"testing"
	"time"

	"github.com/seed-44df2ae6/whose"
)

var someEnv = Env{SelfNetNS: 42, Now: someNow}

func TestMatch_Plain(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	met := 0
	for range 3000 {
		e := mustParse(t, randomText(r, r.IntN(4)))
		checkRoundTrip(t, e)
		m := Compile(e, someEnv)
		for _, s := range randomHost(r, 20) {
			got, want := m.Match(&s), plainMatch(e, &s, someEnv)
			if got != want {
				t.Fatalf("%s\non %+v\nis %v, want %v", e, s, got, want)
			}
			if got {
				met++
			}
		}
	}
	if met < 10000 || met > 50000 {
		t.Errorf("%d of 60000 were met: the random expressions say too little", met)
	}
}

// oneSession is a session in which every field has a value.
func oneSession() whose.Session {
	p := &whose.Process{PID: 812, Comm: "systemd-resolve", StartTime: someNow.Add(-5 * time.Minute), Cmdline: "/lib/x --stub",
		Exe: "/lib/x", UID: 101, User: "resolve", Parent: 1, Unit: "x.service", Container: "0123456789ab", Pod: "pod-1"}
	peer := &whose.Process{PID: 900, Comm: "curl"}
	return whose.Session{
		Local: netip.MustParseAddrPort("10.0.0.1:443"), Remote: netip.MustParseAddrPort("10.9.0.2:50000"),
		Inode: 4711, Cookie: 99, NetNS: 42, UID: 33, Mark: 7, RecvQueue: 2048, SendQueue: 10,
		Proto: whose.TCP, Family: whose.IPv6, State: whose.Established, Direction: whose.In, V6Only: true,
		NetNSName: "web", User: "www-data", BoundDev: "eth0", Scope: "eth1",
		Owners: []whose.Owner{{Process: &whose.Process{PID: 1, Comm: "init"}}, {Process: p, FDs: []int32{3, 14}}},
		Peer:   []whose.Owner{{Process: peer}},
		TCP:    &whose.TCPInfo{RTT: 60 * time.Millisecond, Retrans: 2, BytesSent: 1 << 20, BytesReceived: 5, Cong: "cubic", Cwnd: 10},
	}
}

func TestMatch(t *testing.T) {
	s := oneSession()
	for text, want := range map[string]bool{
		":443": true, ":50000": true, ":80": false, ":400-500": true, ":80,:443": true,
		"10.0.0.1:443": true, "10.0.0.1:50000": false, "10.0.0.0/8:50000": true, "[::1]:443": false,
		"10.0.0.0/8": true, "10.9.0.0/16": true, "local 10.9.0.0/16": false, "::ffff:10.0.0.1": true, "::/0": false,
		"local :443": true, "remote :443": false, "local *:1-9": false,
		"tcp": true, "udp": false, "ipv6": true, "est": true, "state != established": false, "connected": true, "listening": false,
		"init": true, "nginx": false, "systemd-resolved": true, "systemd-resolve": true, "systemd-resolved*": true,
		"systemd-network": false, "sys*": true, "Init": false, "process ~ ^sys": true, "process !~ init": false,
		"pid 812": true, "pid 1,5": true, "pid != 1": false, "not pid 7": true, "pid > 800 and pid < 2": true, "pid 800-900": true,
		"fd 14": true, "fd 4": false, "fd > 13": true, "exe /lib/x": true, "/lib/x": true, "cmdline ~ -stub$": true,
		"owner_user resolve": true, "parent 1": true, "unit x.service": true, "container 0123*": true, "pod pod-1": true,
		"start_time > 10m": true, "start_time < 10m": false, "start_time = 2026-01-31T07:55": true, "start_time > 2026-01-31": false,
		"start_time >= 2026-01-31": true, "start_time 2026-01-31T07:55:00.00Z": true, "start_time 2026-01-31T08:55:00+01:00": true,
		"peer curl": true, "peer_pid 1": false, "peer_pid 900": true, "process curl": false,
		"user www-data": true, "user 33": true, "user 34": false, "uid 33": true, "netns web": true, "netns 42": true, "netns self": true,
		"netns '42'": false, "netns != self": false, "netns w?b": true, "netns_name ~ e": true,
		"direction in": true, "direction out": false, "reason orphan": false, "not reason hidden": true, "v6only": false, "v6only no": false, "not v6only": true,
		"recv_queue > 1k": true, "recv_queue 2KiB": true, "send_queue > 10": false, "dev eth0": true, "scope eth?": true, "mark 0x7": true,
		"inode 4711": true, "cookie 99": true, "rtt > 50ms": true, "rtt <= 60ms": true, "retrans > 1": true,
		"bytes_sent >= 1MiB": true, "bytes_received < 1": false, "cong cubic": true, "cwnd 10": true, "state ~ ^est": true,
	} {
		if got := Compile(mustParse(t, text), someEnv).Match(&s); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}

func TestMatch_Missing(t *testing.T) {
	s := whose.Session{Owners: []whose.Owner{{}}} // even without its process
	for _, f := range whose.Fields() {
		subj, _ := subjectByName(f.Name)
		for _, op := range operatorsOf(&subj) {
			if f.Kind == whose.KindPort || f.Kind == whose.KindBytes || f.Name == "uid" {
				continue // these have a value always
			}
			value := map[whose.Kind]string{whose.KindAddr: "::", whose.KindTime: "2026-01-01", whose.KindInstant: "2026-01-01", whose.KindDuration: "1s",
				whose.KindBool: "no", whose.KindText: "x"}[f.Kind]
			if f.Kind == whose.KindName {
				value = f.Values[0]
			} else if value == "" {
				value = "0"
			}
			text := fmt.Sprintf("%s %s %s", f.Name, op, value)
			if got := Compile(mustParse(t, text), someEnv).Match(&s); got != op.negative() {
				t.Errorf("%s on a session without a value: %v, want %v", text, got, op.negative())
			}
		}
	}
}

func TestMatch_Nil(t *testing.T) {
	var none *Matcher
	s := whose.Session{}
	if !none.Match(&s) || !Compile(nil, Env{}).Match(&s) || !Compile(&Not{X: &Cond{}}, Env{}).Match(&s) ||
		!Compile(&And{}, Env{}).Match(&s) || Compile(&Or{}, Env{}).Match(&s) {
		t.Error("nil and And{} have to be met, Or{} and Cond{} not")
	}
}

func TestGlob(t *testing.T) {
	for _, test := range []struct {
		pattern, text string
		want          bool
	}{
		{"*", "", true}, {"a*", "abc", true}, {"*c", "abc", true}, {"a*c*e", "abcde", true}, {"a*c*e", "abcd", false},
		{"?", "é", true}, {"??", "é", false}, {`\*`, "*", true}, {`\*`, "x", false}, {"a?c", "abc", true}, {"", "", true}, {"?", "", false},
		{"*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false}, {"\xff*", "\xffx", true},
	} {
		if got := compileGlob(test.pattern).match(test.text); got != test.want {
			t.Errorf("glob %q on %q: %v, want %v", test.pattern, test.text, got, test.want)
		}
	}
}

func TestMatch_Allocs(t *testing.T) {
	s := oneSession()
	text := `tcp and ipv6 and state established,listen and local in 10.0.0.0/8 and remote 10.0.0.0/8:50000 and
		:443 and 10.0.0.0/8 and lport in (80, 443, 8000-8099, 9000) and pid 812 and systemd-resolved and process ~ "^sys.*lve$" and
		sys* and netns self and netns web and user www-data and uid 33 and direction in and not reason hidden and not v6only and
		inode 4711 and recv_queue > 1k and rtt > 50ms and bytes_sent >= 1M and exe /lib/x and start_time > 1h and fd 3 and
		peer curl and cong cubic and unit *.service and cmdline ~ "stub" and owner_user resolve and dev eth0 and state ~ est`
	if raceEnabled {
		text = regexp.MustCompile(`and \w+ ~ \S+`).ReplaceAllString(text, "")
	}
	m := Compile(mustParse(t, text), someEnv)
	if !m.Match(&s) {
		t.Fatal("the expression has to be met, so that all of it is evaluated")
	}
	if n := testing.AllocsPerRun(200, func() { m.Match(&s) }); n != 0 {
		t.Errorf("Match allocates %v times, want 0", n)
	}
}

func BenchmarkMatch(b *testing.B) {
	s := oneSession()
	for _, text := range []string{":80", "nginx", "tcp and state established and not remote in 127.0.0.0/8 and process ~ \"^post\"",
		"user www-data and rtt > 50ms"} {
		m := Compile(mustParse(b, text), someEnv)
		b.Run(text, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m.Match(&s)
			}
		})
	}
}

// TestCompile_Clock wants an age to move with the clock, and to stand without one.
func TestCompile_Clock(t *testing.T) {
	now := time.Date(2026, 1, 30, 12, 0, 0, 0, time.UTC)
	e, err := Parse("start_time > 20s")
	if err != nil {
		t.Fatal(err)
	}
	s := whose.Session{Owners: []whose.Owner{{Process: &whose.Process{PID: 1, StartTime: now.Add(-10 * time.Second)}}}}
	moving := Compile(e, Env{Now: now, Clock: func() time.Time { return now }})
	standing := Compile(e, Env{Now: now})
	if !moving.Match(&s) || !standing.Match(&s) {
		t.Error("a process of ten seconds is not younger than 20s")
	}
	now = now.Add(time.Minute)
	if moving.Match(&s) || !standing.Match(&s) {
		t.Errorf("a minute later: by the clock %v, by the moment %v; want false and true", moving.Match(&s), standing.Match(&s))
	}
	if n := testing.AllocsPerRun(100, func() { moving.Match(&s) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
