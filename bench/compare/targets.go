//go:build linux

package main

import (
	"fmt"
	"time"

	"github.com/seed-44df2ae6/whose/bench/result"
)

// A target is one goal of the project: a measured quantity and the bound on it.
type target struct {
	text string
	// limit bounds the value, from above unless least is set.
	limit float64
	least bool
	// unit follows the value in print: " ×" or " MiB".
	unit string
	// value computes the figure reached. It is false if a measurement is missing.
	value func(p *page) (float64, bool)
}

// reached compares in the target's sense.
func (t target) reached(value float64) bool {
	if t.least {
		return value >= t.limit
	}
	return value <= t.limit
}

// quotient returns a value function: the time of one command over another's.
func quotient(key, name, overKey, overName string) func(*page) (float64, bool) {
	return func(p *page) (float64, bool) {
		a, okA := p.get(key, name)
		b, okB := p.get(overKey, overName)
		if !okA || !okB || b.over {
			return 0, false
		}
		return ratio(a.wall, b.wall), true
	}
}

// perSocket compares the cost of a socket among a million with its cost among
// 100,000.
func perSocket(p *page) (float64, bool) {
	v, ok := quotient("1m", bpf, "100k", bpf)(p)
	return v / 10, ok
}

func peakMiB(p *page) (float64, bool) {
	s, ok := p.get("1m", bpf)
	return float64(s.peakKiB) / 1024, ok
}

// renderOverCollect compares the cost of JSON lines beyond counting the sessions
// with the counting, which collects them all and prints next to nothing.
func renderOverCollect(p *page) (float64, bool) {
	lines, okLines := p.get("100k", jsonLines)
	count, okCount := p.get("100k", countOnly)
	if !okLines || !okCount {
		return 0, false
	}
	return ratio(max(lines.wall-count.wall, time.Nanosecond), count.wall), true
}

// targets returns the table of figures to reach.
func targets() []target {
	faster := func(text, key, slow, fast string, times float64) target {
		return target{text: text, limit: times, least: true, unit: " ×", value: quotient(key, slow, key, fast)}
	}
	within := func(text string, times float64, value func(*page) (float64, bool)) target {
		return target{text: text, limit: times, unit: " ×", value: value}
	}
	return append([]target{
		faster("100,000 sockets: `ss -tunap` over `bpf`, cold", "100k", ssAll, bpf, 50),
		faster("100,000 sockets: `ss -tuna` over `bpf`, cold", "100k", ssBare, bpf, 1),
		faster("100,000 sockets: `ss -tunap` over `netlink`", "100k", ssAll, netlink, 15),
		faster("1,000,000 sockets: `lsof` over `bpf`", "1m", lsofAll, bpf, 12),
		within("1,000,000 sockets: cost of one with `bpf`, over that at 100,000", 1.3, perSocket),
		{text: "1,000,000 sockets: peak memory with `bpf`", limit: 400, unit: " MiB", value: peakMiB},
		faster("5,000 processes: `ss -tunap` over `bpf`", "procs5k", ssAll, bpf, 20),
		faster("5,000 processes: `ss -tunap` over `netlink`", "procs5k", ssAll, netlink, 2),
		within("small host: `auto`, cold, over `ss -tunap`", 0.5, quotient("small", auto, "small", ssAll)),
		within("small host: through a pin, over `ss -tunap`", 0.2, quotient("small", pinned, "small", ssAll)),
		within("10,000 sockets in 50 namespaces over the same in one, `bpf`", 2, quotient("netns50", bpf, "10k", bpf)),
		within("100,000 sockets: listeners only over all, `bpf`", 1.0/3, quotient("100k", listenBPF, "100k", bpf)),
		within("100,000 sockets: listeners only over all, `netlink`", 1.0/3, quotient("100k", listenNet, "100k", netlink)),
		within("5,000 processes: `pid N` with 50 other descriptors each over 5 each, `bpf`", 1.2,
			quotient("procs5k", pidBPF, "procs5k-lean", pidBPF)),
		within("5,000 processes: `pid N` with 50 other descriptors each over 5 each, `netlink`", 1.2,
			quotient("procs5k", pidNet, "procs5k-lean", pidNet)),
		within("100,000 sessions as JSON lines: rendering over collecting, `bpf`", 1, renderOverCollect),
	}, zabbixTargets()...)
}

// targetTable marks each target as reached or missed. Unmeasured ones stay open;
// the benchmarks of collect measure a collector kept open.
func (p *page) targetTable() result.Table {
	t := result.Table{Title: "Targets", Columns: []string{"", "to reach", "measured", ""}}
	for _, one := range targets() {
		bound := "at most "
		if one.least {
			bound = "at least "
		}
		measured, verdict := "", "not measured"
		if value, ok := one.value(p); ok {
			measured, verdict = fmt.Sprintf("%.2f%s", value, one.unit), "missed"
			if one.reached(value) {
				verdict = "reached"
			}
		}
		bound += fmt.Sprintf("%.3g%s", one.limit, one.unit)
		t.Rows = append(t.Rows, []result.Cell{result.Cell(one.text), result.Cell(bound), result.Cell(measured), result.Cell(verdict)})
	}
	return t
}
