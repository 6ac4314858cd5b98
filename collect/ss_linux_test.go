package collect_test

import (
	"fmt"
	"net/netip"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/collect/collecttest"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// TestSS compares answers with what ss prints in the same namespace. What
// differs by design: ss names nobody for a connection in an accept queue, where
// an answer names who listens, without a descriptor.
func TestSS(t *testing.T) {
	program := testenv.NeedProgram(t, "ss")
	ns := testenv.NewNetNS(t)
	send(t, ns, nil, errand{Hold: 20, Queue: 3, Name: "one", Heirs: []string{"two", "three"}})
	send(t, ns, nil, errand{Hold: 5})
	var text []byte
	var err error
	ns.Do(func() { text, err = exec.Command(program, "-tunapeOH").Output() })
	if err != nil {
		t.Fatalf("ss: %v", err)
	}
	for name, opts := range ways(t) {
		t.Run(name, func(t *testing.T) {
			var want, got []string
			for line := range strings.Lines(string(text)) {
				s, err := parseSS(line)
				if err != nil {
					t.Fatal(err)
				}
				if collecttest.Blank(opts.Source, &s) {
					want = append(want, ssRow(&s))
				}
			}
			opts.NetNS, opts.States = fmt.Sprint(ns.Inode()), whose.AllStates
			for _, s := range gather(t, opened(t), opts) {
				got = append(got, ssRow(&s))
			}
			slices.Sort(want)
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" || len(want) < 60 {
				t.Errorf("%d rows of ss and %d of %s (-ss +whose):\n%.5000s", len(want), len(got), name, diff)
			}
		})
	}
}

// TestSS_Kinds asks ss and an answer for one kind of sessions after the other.
func TestSS_Kinds(t *testing.T) {
	program := testenv.NeedProgram(t, "ss")
	ns := testenv.NewNetNS(t)
	send(t, ns, nil, errand{Hold: 10, Queue: 2})
	for flags, opts := range map[string]collect.Options{
		"-tnlO":               {Protos: whose.SetOf(whose.TCP), States: whose.SetOf(whose.Listen)},
		"-unlO":               {Protos: whose.SetOf(whose.UDP), States: whose.SetOf(whose.Unconn)},
		"-tnO":                {Protos: whose.SetOf(whose.TCP), States: whose.SetOf(whose.Established)},
		"-tna4O":              {Protos: whose.SetOf(whose.TCP), Families: whose.SetOf(whose.IPv4), States: whose.AllStates},
		"-tunaO sport > 1023": {Filter: mustParse(t, "lport > 1023"), States: whose.AllStates},
	} {
		var text []byte
		var err error
		args := append([]string{"-peH"}, strings.Fields(flags)...)
		ns.Do(func() { text, err = exec.Command(program, args...).Output() })
		if err != nil {
			t.Fatalf("ss %s: %v", flags, err)
		}
		opts.NetNS = fmt.Sprint(ns.Inode())
		for _, source := range sources() {
			opts.Source = source
			if got, want := len(gather(t, opened(t), opts)), strings.Count(string(text), "\n"); got != want || want == 0 {
				t.Errorf("ss %s prints %d rows, %s has %d", flags, want, source, got)
			}
		}
	}
}

// ssRow writes what ss tells of a session.
func ssRow(s *whose.Session) string {
	row := fmt.Sprint(s.Proto, " ", s.State, " ", s.RecvQueue, " ", s.SendQueue, " ", s.Local, " ", s.Remote, " ", s.Inode)
	for _, o := range s.Owners {
		for _, fd := range o.FDs {
			row += fmt.Sprintf(" %s %d %d", o.Comm, o.PID, fd)
		}
	}
	return row
}

var (
	ssUser  = regexp.MustCompile(`\("([^"]*)",pid=(\d+),fd=(\d+)\)`)
	ssInode = regexp.MustCompile(` ino:(\d+) `)
)

// parseSS parses a line of ss -tunapeOH.
func parseSS(line string) (s whose.Session, err error) {
	cols := strings.Fields(line)
	if len(cols) < 6 {
		return s, fmt.Errorf("ss prints %q", line)
	}
	ok := true
	s.Proto, ok = map[string]whose.Proto{"tcp": whose.TCP, "udp": whose.UDP}[cols[0]]
	if s.State = ssState(cols[1], s.Proto); s.State == 0 || !ok {
		return s, fmt.Errorf("ss prints %q: no such protocol or state", line)
	}
	recv, err1 := strconv.ParseUint(cols[2], 10, 32)
	send, err2 := strconv.ParseUint(cols[3], 10, 32)
	s.RecvQueue, s.SendQueue = uint32(recv), uint32(send)
	var err3, err4 error
	s.Local, err3 = ssEnd(cols[4])
	s.Remote, err4 = ssEnd(cols[5])
	if err := errorsOf(err1, err2, err3, err4); err != nil {
		return s, fmt.Errorf("ss prints %q: %w", line, err)
	}
	if m := ssInode.FindStringSubmatch(line + " "); m != nil {
		s.Inode, _ = strconv.ParseUint(m[1], 10, 64) // digits, by the expression
	}
	s.Owners = ssOwners(line)
	return s, nil
}

// ssOwners returns the owners in the order of answers.
func ssOwners(line string) []whose.Owner {
	byPID := make(map[int]*whose.Owner)
	for _, m := range ssUser.FindAllStringSubmatch(line, -1) {
		pid, _ := strconv.Atoi(m[2])
		fd, _ := strconv.Atoi(m[3])
		if byPID[pid] == nil {
			byPID[pid] = &whose.Owner{Process: &whose.Process{PID: uint32(pid), Comm: m[1]}}
		}
		byPID[pid].FDs = append(byPID[pid].FDs, int32(fd))
	}
	var owners []whose.Owner
	for _, o := range byPID {
		slices.Sort(o.FDs)
		owners = append(owners, *o)
	}
	slices.SortFunc(owners, func(a, b whose.Owner) int { return int(a.PID) - int(b.PID) })
	return owners
}

func ssState(name string, proto whose.Proto) whose.State {
	switch name {
	case "ESTAB":
		return whose.Established
	case "LISTEN":
		return whose.Listen
	case "UNCONN":
		if proto == whose.UDP {
			return whose.Unconn
		}
		return whose.Close
	}
	return 0
}

// ssEnd parses "127.0.0.1:80", "[::1]:80", "*:*" and the like.
func ssEnd(text string) (netip.AddrPort, error) {
	text = strings.Replace(text, ":*", ":0", 1)
	if i := strings.IndexByte(text, '%'); i >= 0 {
		text = text[:i] + text[i+strings.IndexAny(text[i:], "]:"):]
	}
	ap, err := netip.ParseAddrPort(text)
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), err
}
