package filter

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

	"github.com/seed-44df2ae6/whose"
)

// This file makes random expressions and sessions from few values, so that
// they meet often.

var (
	someNow    = time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC)
	someAddrs  = []string{"0.0.0.0", "10.0.0.1", "10.1.2.3", "127.0.0.1", "::", "::1", "fe80::1"}
	somePorts  = []uint16{0, 22, 80, 443, 8080, 65535}
	someComms  = []string{"nginx", "sshd", "postgres", "a-very-long-nam", "\x1b[31m", ""}
	someUsers  = []string{"root", "www-data", "1000", ""}
	someNames  = []string{"web", "db", "42", ""}
	someInodes = []uint32{4026531840, 42, 43}
)

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// word returns a value that a condition on the field may have.
func randomValue(r *rand.Rand, f *whose.Field) string {
	switch f.Kind {
	case whose.KindName:
		return pick(r, spellings(f))
	case whose.KindPort:
		if r.IntN(4) == 0 {
			return fmt.Sprintf("%d-%d", r.IntN(1000), 1000+r.IntN(64000))
		}
		if r.IntN(4) == 0 {
			return pick(r, []string{":443", "https", ":ssh"})
		}
		return fmt.Sprint(pick(r, somePorts))
	case whose.KindAddr:
		return pick(r, []string{"10.0.0.1", "10.0.0.0/8", "127.0.0.0/8", "::1", "::/0", "0.0.0.0/0", "10.0.0.0/16",
			":443", "10.0.0.1:443", "[::1]:22-80", "10.0.0.0/8:80", "*:0", "::ffff:10.0.0.1", "fe80::/10", "localhost", "10.0.*:https", "localhost:80"})
	case whose.KindBytes:
		return pick(r, []string{"0", "1", "1k", "1kB", "100-2000"})
	case whose.KindDuration:
		return pick(r, []string{"0s", "1ms", "50ms", "1ms-1s"})
	case whose.KindTime, whose.KindInstant:
		return pick(r, []string{"2026-01-31", "2026-01-31T07:59:00Z", "2026-01-30"})
	case whose.KindBool:
		return pick(r, []string{"yes", "false"})
	case whose.KindHex:
		return pick(r, []string{"0000000000000001", "00000000000000FF", "0123456789abcdef"})
	}
	switch f.Name {
	case "netns":
		return pick(r, []string{"42", "43", "4026531840", "web", "'42'", "self", "d*"})
	case "comm", "peer_comm":
		return pick(r, []string{"nginx", "sshd", "*", "p?st*", "a-very-long-name-of-all", "a-very-long-name*", `"\x1b[31m"`})
	case "user", "owner_user":
		return pick(r, []string{"root", "www-data", "1000", "r*"})
	case "netns_name":
		return pick(r, []string{"web", "db", "42", "*"})
	}
	if f.Kind == whose.KindText {
		return pick(r, []string{"eth0", "/usr/bin/x", "x.service", "*", "cubic"})
	}
	return pick(r, []string{"0", "1", "2", "3", "1-2", "1000", "4294967295"})
}

func randomCond(r *rand.Rand) string {
	names := []string{"port", "port", "addr", "exposure", "pid", "pid", "pid", "comm", "state", "proto", "netns", "local_port"}
	for _, f := range whose.Fields() {
		names = append(names, f.Name)
	}
	subj, _ := subjectByName(pick(r, names))
	f := subj.fields[0]
	op := pick(r, operatorsOf(&subj))
	if op.positive() == Match {
		return fmt.Sprintf("%s %s %s", subj.name, op, pick(r, []string{`"^n"`, "'d$'", `"ST|x"`, `"\\d|\\x1b"`}))
	}
	value := randomValue(r, f)
	if op.positive() != Eq {
		value, _, _ = strings.Cut(value, "-")
		if isTime(f.Kind) {
			value = pick(r, []string{"2026-01-31", "10m", "1d"})
		}
		return fmt.Sprintf("%s %s %s", subj.name, op, value)
	}
	for r.IntN(3) == 0 {
		value += ", " + randomValue(r, f)
	}
	glue := map[Op][]string{Eq: {"=", "==", "in"}, Ne: {"!=", "not in"}}[op]
	return fmt.Sprintf("%s %s (%s)", subj.name, pick(r, glue), value)
}

// randomText returns the text of a valid expression.
func randomText(r *rand.Rand, depth int) string {
	if depth == 0 || r.IntN(4) == 0 {
		return randomCond(r)
	}
	var terms []string
	for range 1 + r.IntN(3) {
		terms = append(terms, randomText(r, depth-1))
	}
	text := "(" + strings.Join(terms, pick(r, []string{" and ", " or ", " "})) + ")"
	if r.IntN(4) == 0 {
		text = "not " + text
	}
	return text
}

func randomEnd(r *rand.Rand) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(pick(r, someAddrs)), pick(r, somePorts))
}

// randomHost returns processes and sessions that belong together.
func randomHost(r *rand.Rand, sessions int) []whose.Session {
	var processes []*whose.Process
	for pid := range uint32(5) {
		p := &whose.Process{PID: pid + 1, Comm: pick(r, someComms), UID: uint32(r.IntN(2) * 1000), User: pick(r, someUsers)}
		if r.IntN(2) == 0 {
			p.StartTime = someNow.Add(-time.Duration(r.IntN(3)) * 9 * time.Minute)
			p.Exe, p.Cmdline, p.Unit, p.Parent = "/usr/bin/x", "x -y", "x.service", 1
		}
		processes = append(processes, p)
	}
	all := make([]whose.Session, sessions)
	for i := range all {
		all[i] = randomSession(r, processes)
	}
	return all
}

func randomSession(r *rand.Rand, processes []*whose.Process) whose.Session {
	s := whose.Session{
		Local: randomEnd(r), Remote: randomEnd(r), Inode: uint64(r.IntN(3)), Cookie: uint64(r.IntN(3)),
		UID: uint32(r.IntN(2) * 1000), Mark: uint32(r.IntN(2)), RecvQueue: uint32(r.IntN(2)), SendQueue: uint32(r.IntN(2) * 1000),
		Proto: pick(r, []whose.Proto{whose.TCP, whose.UDP, whose.UDPLite, whose.MPTCP}), Family: pick(r, []whose.Family{whose.IPv4, whose.IPv6}),
		State: pick(r, []whose.State{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, whose.Unconn}), Direction: whose.Direction(r.IntN(3)),
		V6Only: r.IntN(2) == 0, NetNSName: pick(r, someNames), User: pick(r, someUsers), BoundDev: pick(r, []string{"", "eth0"}),
		NetNS: pick(r, someInodes), Unknown: whose.Facts(r.IntN(4) * r.IntN(8)),
	}
	owners := func() (list []whose.Owner) {
		for _, p := range processes {
			if r.IntN(4) == 0 {
				list = append(list, whose.Owner{Process: p, FDs: []int32{int32(r.IntN(4)), 7}[:r.IntN(3)]})
			}
		}
		return list
	}
	s.Owners, s.Peer = owners(), owners()
	if s.IsListener() {
		s.Exposure = whose.ExposureOf(s.Local.Addr(), r.IntN(4) == 0)
	}
	if len(s.Owners) == 0 {
		s.Reason = pick(r, []whose.Reason{whose.ReasonOrphan, whose.ReasonHidden, whose.ReasonKernel})
	} else if r.IntN(4) == 0 {
		s.Reason = whose.ReasonAcceptQueue
	}
	if r.IntN(2) == 0 {
		noon := time.Date(2026, 1, 30, 12, 0, 0, 0, time.UTC)
		s.Life = &whose.Lifetime{
			Opened: noon, Closed: noon.Add(time.Duration(r.IntN(3)) * 12 * time.Hour), Duration: time.Duration(r.IntN(3)) * 50 * time.Millisecond,
			End: whose.End(r.IntN(3)), By: whose.Side(r.IntN(3)), Errno: uint32(r.IntN(3)), StoodBefore: r.IntN(2) == 0,
			Counted: r.IntN(2) == 0, Sent: whose.Traffic{Bytes: uint64(r.IntN(3)), Datagrams: uint64(r.IntN(3))},
		}
	}
	if s.Proto == whose.TCP && r.IntN(2) == 0 {
		s.TCP = &whose.TCPInfo{RTT: time.Duration(r.IntN(3)) * 50 * time.Millisecond, Retrans: uint32(r.IntN(3)),
			HasIdle: r.IntN(2) == 0, Idle: time.Duration(r.IntN(3)) * time.Millisecond, Unused: r.IntN(2) == 0, OnlyTimer: r.IntN(4) == 0,
			Timer:     whose.Timer{Kind: whose.TimerKind(r.IntN(5)), Left: time.Duration(r.IntN(3)) * time.Millisecond},
			BytesSent: uint64(r.IntN(3) * 1000), Cong: pick(r, []string{"", "cubic"}), Cwnd: uint32(r.IntN(3))}
	}
	return s
}
