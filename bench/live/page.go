//go:build linux

package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/seed-44df2ae6/whose/bench/result"
)

// reportOf returns the table of all turns.
func reportOf(ws []watcher, samples map[string][]sample, o options) *result.Report {
	r := &result.Report{
		Title: "Beside a busy web server",
		Text: []string{fmt.Sprintf("%s. nginx with one worker and `wrk -t1 -c32` without keep-alive on loopback, %d rounds of %v in turn, medians; "+
			"each turn beside those before and after it, with nobody. %s",
			time.Now().UTC().Format("2006-01-02 15:04 UTC"), o.rounds, o.span, host())},
	}
	t := result.Table{Columns: []string{"beside it", "requests/s", "of that without", "least..most of it",
		"user CPU an event", "system CPU an event", "events", "connections", "missed", "peak MiB"}}
	for i := range ws {
		if s := samples[ws[i].name]; len(s) > 0 {
			t.Rows = append(t.Rows, rowOf(&ws[i], s))
		}
	}
	r.Tables = []result.Table{t}
	for i := range ws {
		r.Notes = append(r.Notes, notesOf(&ws[i], samples[ws[i].name])...)
	}
	return r
}

// notesOf returns the reason why a watcher did not run, and its losses.
func notesOf(one *watcher, samples []sample) (notes []string) {
	if one.fault != "" {
		notes = append(notes, fmt.Sprintf("%s does not run here: %s", one.name, strings.ReplaceAll(one.fault, "\n", " ")))
	}
	said := ""
	for _, s := range samples {
		if s.faults != "" {
			said = s.faults
		}
	}
	if lost := total(samples, func(s sample) uint64 { return s.lost }); lost > 0 {
		notes = append(notes, fmt.Sprintf("%s told %d events as lost", one.name, lost))
	}
	if said != "" {
		notes = append(notes, fmt.Sprintf("beside %s it was said: %s", one.name, said))
	}
	return notes
}

// rowOf returns one watcher's row.
func rowOf(one *watcher, samples []sample) []result.Cell {
	row := make([]result.Cell, 10)
	set := func(column int, format string, args ...any) { row[column] = result.Cell(fmt.Sprintf(format, args...)) }
	set(0, "%s", one.name)
	set(1, "%.0f", median(samples, func(s sample) float64 { return s.rate }))
	if one.name != nobody {
		shares := values(samples, func(s sample) float64 { return 100 * s.rate / max(1, s.without) })
		set(2, "%.1f %%", middle(shares))
		set(3, "%.1f..%.1f %%", shares[0], shares[len(shares)-1])
	}
	made := total(samples, func(s sample) uint64 { return s.made })
	set(7, "%d", made)
	if one.args == nil {
		return row
	}
	each := func(column int, of func(s sample) time.Duration) {
		set(column, "%.2f µs", median(samples, func(s sample) float64 {
			return float64(of(s).Nanoseconds()) / 1e3 / float64(max(1, s.lines))
		}))
	}
	each(4, func(s sample) time.Duration { return s.user })
	each(5, func(s sample) time.Duration { return s.system })
	set(6, "%d", total(samples, func(s sample) uint64 { return s.lines }))
	missed := int64(made) - int64(total(samples, func(s sample) uint64 { return s.seen }))
	set(8, "%d (%.3f %%)", missed, 100*float64(missed)/float64(max(1, made)))
	set(9, "%.1f", float64(slices.MaxFunc(samples, func(a, b sample) int { return int(a.peakKiB - b.peakKiB) }).peakKiB)/1024)
	return row
}

func values(samples []sample, of func(sample) float64) []float64 {
	all := make([]float64, 0, len(samples))
	for _, s := range samples {
		all = append(all, of(s))
	}
	slices.Sort(all)
	return all
}

func median(samples []sample, of func(sample) float64) float64 { return middle(values(samples, of)) }

// middle returns the median of numbers in order.
func middle(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
}

func total(samples []sample, of func(sample) uint64) (sum uint64) {
	for _, s := range samples {
		sum += of(s)
	}
	return sum
}

// host describes the machine in one line.
func host() string {
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return err.Error()
	}
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return err.Error()
	}
	model, processors := "processors", 0
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			name, value, _ := strings.Cut(line, ":")
			switch strings.TrimSpace(name) {
			case "processor":
				processors++
			case "model name":
				model = strings.TrimSpace(value)
			}
		}
	}
	return fmt.Sprintf("Kernel %s, %d x %s; load average when it ended: %s.", strings.TrimSpace(string(release)), processors, model,
		strings.Join(strings.Fields(string(load))[:1], ""))
}
