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
	b := bench{opts: options{runs: 9, spend: 20 * time.Second}}
	for wall, want := range map[time.Duration]int{time.Millisecond: 9, 5 * time.Second: 4, 11 * time.Second: 0} {
		if got := b.worth(sample{wall: wall}); got != want {
			t.Errorf("after a first run of %v: %d more, want %d", wall, got, want)
		}
	}
}

func TestTargets(t *testing.T) {
	p := page{took: map[string]stats{}}
	measured := map[string]time.Duration{ssAll: 5000, ssBare: 200, bpf: 100, netlink: 1000}
	for name, ms := range measured {
		p.took["100k/"+name] = stats{wall: ms * time.Millisecond}
	}
	p.took["1m/"+bpf] = stats{wall: 1200 * time.Millisecond, peakKiB: 500 << 10}
	p.took["1m/"+lsofAll] = stats{wall: time.Minute, over: true}
	p.took["small/"+auto] = stats{wall: 1, fault: "no rows"}
	p.took["small/"+ssAll] = stats{wall: 10}
	table := p.targetTable()
	text := table.Markdown(2)
	for _, want := range []string{
		"| 100,000 sockets: `ss -tunap` over `bpf`, cold | at least 50 × | 50.00 × | reached |",
		"| 100,000 sockets: `ss -tuna` over `bpf`, cold | at least 1 × | 2.00 × | reached |",
		"| 100,000 sockets: `ss -tunap` over `netlink` | at least 15 × | 5.00 × | missed |",
		"| 1,000,000 sockets: `lsof` over `bpf` | at least 12 × | 50.00 × | reached |",
		"| 1,000,000 sockets: cost of one with `bpf`, over that at 100,000 | at most 1.3 × | 1.20 × | reached |",
		"| 1,000,000 sockets: peak memory with `bpf` | at most 400 MiB | 500.00 MiB | missed |",
		"| small host: `auto`, cold, over `ss -tunap` | at most 0.5 × | | not measured |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no line %q in\n%s", want, text)
		}
	}
}

// TestTargets_Names shows that each target finds its commands among those that run.
func TestTargets_Names(t *testing.T) {
	p := page{took: map[string]stats{}}
	all := programs{whose: "w", found: map[string]string{"ss": "s", "lsof": "l", "netstat": "n", "python3": "p"}}
	for _, l := range loads() {
		for _, tool := range toolsOf(all, "p") {
			if tool.runsOn(l) {
				p.took[l.key+"/"+tool.name] = stats{wall: time.Second}
			}
		}
	}
	for _, target := range targets() {
		if _, ok := target.value(&p); !ok {
			t.Errorf("%s: its commands are not among those that run", target.text)
		}
	}
}
