//go:build linux

package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/seed-44df2ae6/whose/bench/result"
)

// A target is one goal of the project: a measured quantity and the bound on it.
type target struct {
	text string
	// limit bounds the value, from above unless least is set.
	limit float64
	least bool
	// unit follows the value in print: " ×", " ms" or " MiB".
	unit string
	// value computes a figure. It is false if a measurement is missing.
	value value
}

// A value computes the figure of a target for one of the contenders.
type value func(p *page, of contender) (float64, bool)

// A contender is one of the things that a target is computed for.
type contender int

// The contenders: the whose of this run, the older one, and the floor.
const (
	after contender = iota
	before
	inC
)

// name returns the contender's measurement in the place of one of whose, "" if
// it has none. The floor stands for every whole answer through a pin.
func (c contender) name(of string) string {
	switch {
	case c == after || !strings.HasPrefix(of, "whose"):
		return of
	case c == before:
		return beforePrefix + of
	case of == pinned || of == pinnedLines || of == pinnedTable:
		return floor
	}
	return ""
}

// reached compares in the target's sense.
func (t target) reached(value float64) bool {
	if t.least {
		return value >= t.limit
	}
	return value <= t.limit
}

// yardstick returns the contender's measurement, or that of whose in its place.
func (c contender) yardstick(of string) string {
	if name := c.name(of); name != "" {
		return name
	}
	return of
}

// quotient returns the time of one command over another's, both the
// contender's.
func quotient(key, name, overKey, overName string) value {
	return func(p *page, of contender) (float64, bool) {
		a, okA := p.get(key, of.name(name))
		b, okB := p.get(overKey, of.yardstick(overName))
		if !okA || !okB || b.over || of == inC && of.name(name) != floor {
			return 0, false
		}
		return ratio(a.wall, b.wall), true
	}
}

// over compares two commands on one load.
func over(key, name, overName string) value { return quotient(key, name, key, overName) }

// floors returns the time of a command, less a constant part, over the floor.
func floors(key, name string, less time.Duration) value {
	return func(p *page, of contender) (float64, bool) {
		a, okA := p.get(key, of.name(name))
		b, okB := p.get(key, floor)
		if of != inC {
			a.wall -= less
		}
		return ratio(a.wall, b.wall), okA && okB
	}
}

// milliseconds returns the time of a command.
func milliseconds(key, name string) value {
	return func(p *page, of contender) (float64, bool) {
		s, ok := p.get(key, of.name(name))
		return float64(s.wall) / float64(time.Millisecond), ok && !s.over
	}
}

// peakMiB returns the highest peak of memory among commands.
func peakMiB(key string, names ...string) value {
	return func(p *page, of contender) (float64, bool) {
		peak := int64(0)
		for _, name := range names {
			s, ok := p.get(key, of.name(name))
			if !ok {
				return 0, false
			}
			peak = max(peak, s.peakKiB)
		}
		return float64(peak) / 1024, true
	}
}

// atMost makes a target of a ratio.
func atMost(limit float64, text string, v value) target {
	return target{text: text, limit: limit, unit: " ×", value: v}
}

// targets returns the table of figures to reach.
func targets() []target {
	const slack = 5 * time.Millisecond
	whole := []string{pinnedLines, pinnedTable, jsonLines, table}
	list := []target{
		atMost(1, "idle host: pinned over netlink", over("idle", pinned, netlink)),
		atMost(2, "small host: pinned over `ss -tuna`", over("small", pinned, ssBare)),
		atMost(0.25, "small host: pinned over `ss -tunap`", over("small", pinned, ssAll)),
		atMost(0.45, "small host: `auto`, cold, over `ss -tunap`", over("small", auto, ssAll)),
		atMost(0.5, "1,000 sockets: pinned over `ss -tunap`", over("1k", pinned, ssAll)),
		{text: "1,000 sockets: `zabbix get`, pinned", limit: 8, unit: " ms", value: milliseconds("1k", zabbixPinned)},
		atMost(0.6, "10,000 sockets: pinned over `ss -tuna`", over("10k", pinned, ssBare)),
		atMost(0.02, "5,000 processes: pinned over `ss -tunap`", over("procs5k", pinned, ssAll)),
		atMost(1.5, "5,000 processes: pinned, less 5 ms, over C", floors("procs5k", pinned, slack)),
		atMost(1.15, "10,000 sockets in 50 namespaces over the same in one, pinned", quotient("netns50", pinned, "10k", pinned)),
		atMost(1.15, "10,000 sockets in 50 namespaces over the same in one, cold", quotient("netns50", bpf, "10k", bpf)),
		atMost(0.35, "100,000 sockets: pinned over `ss -tuna`", over("100k", pinned, ssBare)),
		atMost(3, "100,000 sockets: pinned over C", floors("100k", pinned, 0)),
		atMost(0.42, "100,000 sockets: cold over `ss -tuna`", over("100k", bpf, ssBare)),
		atMost(1.2, "100,000 sockets: netlink over `ss -tuna`", over("100k", netlink, ssBare)),
		{text: "100,000 sockets: `pid N`, pinned", limit: 6, unit: " ms", value: milliseconds("100k", pinnedPID)},
		{text: "5,000 processes: `pid N`, pinned", limit: 6, unit: " ms", value: milliseconds("procs5k", pinnedPID)},
		atMost(0.25, "100,000 sockets: `:PORT` of some 92 over the whole listing, pinned", over("100k", pinnedPort, pinned)),
		atMost(0.25, "100,000 sockets: an address of 100 over the whole listing, pinned", over("100k", pinnedAddr, pinned)),
		atMost(0.25, "100,000 sockets: `process NAME` over the whole listing, pinned", over("100k", pinnedProcess, pinned)),
		atMost(0.25, "100,000 sockets: `-l` over the whole listing, pinned", over("100k", pinnedListen, pinned)),
		atMost(0.25, "100,000 sockets: `-q` over the whole listing, pinned", over("100k", pinnedQuiet, pinned)),
		atMost(1, "100,000 sockets: `zabbix get` over the listing, pinned", over("100k", zabbixPinned, pinned)),
		{text: "100,000 sockets: peak memory of `zabbix get`, pinned", limit: 70, unit: " MiB", value: peakMiB("100k", zabbixPinned)},
	}
	for _, name := range whole {
		list = append(list, atMost(0.3, "1,000,000 sockets: `"+name+"` over `ss -tuna`", over("1m", name, ssBare)))
	}
	return append(list, target{text: "1,000,000 sockets: highest peak memory of these", limit: 300, unit: " MiB",
		value: peakMiB("1m", whole...)})
}

// oldTargets returns the targets of earlier rounds, so that none gets lost.
func oldTargets() []target {
	faster := func(text, key, slow, fast string, times float64) target {
		return target{text: text, limit: times, least: true, unit: " ×", value: over(key, slow, fast)}
	}
	return append([]target{
		faster("100,000 sockets: `ss -tunap` over `bpf`, cold", "100k", ssAll, bpf, 50),
		faster("100,000 sockets: `ss -tunap` over `netlink`", "100k", ssAll, netlink, 15),
		faster("1,000,000 sockets: `lsof` over `bpf`", "1m", lsofAll, bpf, 12),
		atMost(1.3, "1,000,000 sockets: cost of one with `bpf`, over that at 100,000", perSocket),
		faster("5,000 processes: `ss -tunap` over `bpf`", "procs5k", ssAll, bpf, 20),
		faster("5,000 processes: `ss -tunap` over `netlink`", "procs5k", ssAll, netlink, 2),
		atMost(1.0/3, "100,000 sockets: listeners only over all, `bpf`", over("100k", listenBPF, bpf)),
		atMost(1.0/3, "100,000 sockets: listeners only over all, `netlink`", over("100k", listenNet, netlink)),
		atMost(1.2, "5,000 processes: `pid N` with 50 other descriptors each over 5 each, `bpf`",
			quotient("procs5k", pidBPF, "procs5k-lean", pidBPF)),
		atMost(1.2, "5,000 processes: `pid N` with 50 other descriptors each over 5 each, `netlink`",
			quotient("procs5k", pidNet, "procs5k-lean", pidNet)),
		atMost(1, "100,000 sessions as JSON lines: rendering over collecting, `bpf`", renderOverCollect),
	}, zabbixTargets()...)
}

// perSocket compares the cost of a socket among a million with its cost among
// 100,000.
func perSocket(p *page, of contender) (float64, bool) {
	v, ok := quotient("1m", bpf, "100k", bpf)(p, of)
	return v / 10, ok
}

// renderOverCollect compares the cost of JSON lines beyond counting the sessions
// with the counting, which collects them all and prints next to nothing.
func renderOverCollect(p *page, of contender) (float64, bool) {
	lines, okLines := p.get("100k", of.name(jsonLines))
	count, okCount := p.get("100k", of.name(countOnly))
	if !okLines || !okCount {
		return 0, false
	}
	return ratio(max(lines.wall-count.wall, time.Nanosecond), count.wall), true
}

// targetTable marks each target as reached or missed, beside the figures of the
// older whose and of the floor. Unmeasured ones stay open; the benchmarks of
// collect measure a collector kept open.
func (p *page) targetTable(title string, list []target) result.Table {
	t := result.Table{Title: title, Columns: []string{"", "to reach", "before", "after", "C", "result"}}
	for _, one := range list {
		bound := "at most "
		if one.least {
			bound = "at least "
		}
		bound += fmt.Sprintf("%.3g%s", one.limit, one.unit)
		row := []result.Cell{result.Cell(one.text), result.Cell(bound)}
		for _, of := range []contender{before, after, inC} {
			row = append(row, result.Cell(one.figure(p, of)))
		}
		verdict := "not measured"
		if v, ok := one.value(p, after); ok {
			verdict = "missed"
			if one.reached(v) {
				verdict = "reached"
			}
		}
		t.Rows = append(t.Rows, append(row, result.Cell(verdict)))
	}
	return t
}

// figure returns the value of a contender in print, empty without one.
func (t target) figure(p *page, of contender) string {
	v, ok := t.value(p, of)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%.2f%s", v, t.unit)
}
