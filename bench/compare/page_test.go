//go:build linux

package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestCountRows(t *testing.T) {
	long := strings.Repeat("x", 2<<20)
	text := "header\ntcp users:((\"app0001\",pid=1,fd=3))\ntcp 1/load\n" + long + "\nno end"
	rows, named, err := countRows(strings.NewReader(text))
	if err != nil || rows != 5 || named != 2 {
		t.Errorf("%d rows, %d named, %v; want 5, 2", rows, named, err)
	}
}

func TestParseTimed(t *testing.T) {
	s, err := parseTimed("2000000 300 400 1024 -9\n")
	want := sample{wall: 2 * time.Millisecond, cpu: 700 * time.Microsecond, peakKiB: 1024, status: -9}
	if err != nil || s != want {
		t.Errorf("%+v, %v; want %+v", s, err, want)
	}
	if _, err := parseTimed("2000000 300"); err == nil {
		t.Error("half a line is taken")
	}
}

func TestStandingRead(t *testing.T) {
	var s standing
	if err := s.read("ready netns 10 20 procs 10 11\n"); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(s.namespaces, []int{10, 20}) || s.pid != 10 {
		t.Errorf("%v %d, want [10 20] 10", s.namespaces, s.pid)
	}
	for _, bad := range []string{"", "ready\n", "ready netns x procs 1\n", "ready netns 1 procs \n"} {
		if err := new(standing).read(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestSummary_Short(t *testing.T) {
	b := bench{opts: options{bound: time.Minute}}
	l := load{key: "x", sockets: 100, procs: 10, namespaces: 1}
	full := sample{wall: 3, rows: 111, named: 110}
	listing := tool{name: "t", owners: true}
	if s := b.summary(listing, l, []sample{full, {wall: 1, rows: 110, named: 110}, full}); s.fault != "" || s.wall != 3 || s.best != 1 {
		t.Errorf("a full answer: %+v", s)
	}
	for name, bad := range map[string]sample{
		"too few rows": {wall: 1, rows: 109, named: 109}, "rows without owners": {wall: 1, rows: 111, named: 5},
	} {
		if s := b.summary(listing, l, []sample{full, bad, full}); s.fault == "" {
			t.Errorf("%s: no fault is told", name)
		}
	}
	over := b.summary(listing, l, []sample{{wall: time.Minute, status: -9}})
	if !over.over || over.fault != "" {
		t.Errorf("a command that was ended: %+v", over)
	}
}

func TestWorth(t *testing.T) {
	for wall, want := range map[time.Duration]int{time.Millisecond: 9, 5 * time.Second: 4, 11 * time.Second: 0} {
		if got := worth(sample{wall: wall}, 9, 20*time.Second); got != want {
			t.Errorf("after a first run of %v: %d more, want %d", wall, got, want)
		}
	}
}

func TestGroups(t *testing.T) {
	got := groups([]load{{key: "a"}, {key: "b", group: "g"}, {key: "c"}, {key: "d", group: "g"}})
	if len(got) != 3 || len(got[1]) != 2 || got[1][1].key != "d" || got[2][0].key != "c" {
		t.Errorf("%+v, want a; b and d; c", got)
	}
}

func TestTargets(t *testing.T) {
	p := page{took: map[string]stats{}}
	for name, ms := range map[string]time.Duration{
		ssAll: 5000, ssBare: 200, bpf: 100, netlink: 300, pinned: 60, beforePrefix + pinned: 100, floor: 25,
		pinnedPID: 4, beforePrefix + pinnedPID: 80,
	} {
		p.took["100k/"+name] = stats{wall: ms * time.Millisecond}
	}
	for _, name := range []string{pinnedLines, pinnedTable, jsonLines, table} {
		p.took["1m/"+name] = stats{wall: 600 * time.Millisecond, peakKiB: 310 << 10}
	}
	p.took["1m/"+ssBare] = stats{wall: 2 * time.Second}
	p.took["1m/"+lsofAll] = stats{wall: time.Minute, over: true}
	p.took["1m/"+bpf] = stats{wall: 1200 * time.Millisecond}
	p.took["procs5k/"+pinned] = stats{wall: 23 * time.Millisecond}
	p.took["procs5k/"+floor] = stats{wall: 12 * time.Millisecond}
	p.took["small/"+auto] = stats{wall: 1, fault: "no rows"}
	p.took["small/"+ssAll] = stats{wall: 10}
	now, old := p.targetTable("now", targets()), p.targetTable("old", oldTargets())
	text := now.Markdown(2) + old.Markdown(2)
	for _, want := range []string{
		"| 100,000 sockets: pinned over `ss -tuna` | at most 0.35 × | 0.50 × | 0.30 × | 0.12 × | reached |",
		"| 100,000 sockets: pinned over C | at most 3 × | 4.00 × | 2.40 × | 1.00 × | reached |",
		"| 100,000 sockets: cold over `ss -tuna` | at most 0.42 × | | 0.50 × | | missed |",
		"| 100,000 sockets: `pid N`, pinned | at most 6 ms | 80.00 ms | 4.00 ms | | reached |",
		"| 5,000 processes: pinned, less 5 ms, over C | at most 1.5 × | | 1.50 × | 1.00 × | reached |",
		"| 1,000,000 sockets: `whose -o jsonl, pinned` over `ss -tuna` | at most 0.3 × | | 0.30 × | | reached |",
		"| 1,000,000 sockets: highest peak memory of these | at most 300 MiB | | 310.00 MiB | | missed |",
		"| small host: `auto`, cold, over `ss -tunap` | at most 0.45 × | | | | not measured |",
		"| 100,000 sockets: `ss -tunap` over `netlink` | at least 15 × | | 16.67 × | | reached |",
		"| 1,000,000 sockets: `lsof` over `bpf` | at least 12 × | | 50.00 × | | reached |",
		"| 1,000,000 sockets: cost of one with `bpf`, over that at 100,000 | at most 1.3 × | | 1.20 × | | reached |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no line %q in\n%s", want, text)
		}
	}
}

// TestTargets_Names shows that each target finds its commands among those that
// run, for this whose and for the older one.
func TestTargets_Names(t *testing.T) {
	p := page{took: map[string]stats{}}
	all := programs{whose: "w", before: "b", found: map[string]string{"ss": "s", "lsof": "l", "netstat": "n", "python3": "p"}}
	for _, l := range loads() {
		for _, tool := range toolsOf(all, room{"r"}) {
			if tool.runsOn(l) {
				p.took[l.key+"/"+tool.name] = stats{wall: time.Second}
			}
		}
	}
	for _, target := range append(targets(), oldTargets()...) {
		for _, of := range []contender{before, after} {
			if _, ok := target.value(&p, of); !ok {
				t.Errorf("%s: its commands are not among those that run (contender %d)", target.text, of)
			}
		}
	}
}

// TestTools_Pins shows that each whose reads only pins of its own.
func TestTools_Pins(t *testing.T) {
	r := room{"r"}
	for _, tool := range toolsOf(programs{whose: "w", before: "b"}, r) {
		pins := map[string]string{"w": r.pins(), "b": r.pinsBefore()}
		for program, foreign := range map[string]string{"w": pins["b"], "b": pins["w"]} {
			if tool.args[0] == program && slices.Contains(tool.args, foreign) {
				t.Errorf("%s reads the pins of the other: %q", tool.name, tool.args)
			}
		}
		if strings.HasPrefix(tool.name, beforePrefix) != (tool.args[0] == "b") {
			t.Errorf("%s is run by %s", tool.name, tool.args[0])
		}
	}
}

func TestCommand(t *testing.T) {
	one := tool{args: []string{"w", "pid", pidArg, ":" + portArg}}
	if got := one.command(&standing{pid: 7, port: 443}); !slices.Equal(got, []string{"w", "pid", "7", ":443"}) {
		t.Errorf("%q", got)
	}
}
