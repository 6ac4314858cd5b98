//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// writePage prints the table of all turns.
func writePage(w io.Writer, ws []watcher, samples map[string][]sample, o options) {
	fmt.Fprintf(w, "%s. nginx with one worker and `wrk -t1 -c32` without keep-alive on loopback, %d rounds of %v in turn, medians; each turn beside those before and after it, with nobody. ",
		time.Now().UTC().Format("2006-01-02 15:04 UTC"), o.rounds, o.span)
	fmt.Fprintf(w, "%s\n\n", host())
	fmt.Fprintln(w, "| beside it | requests/s | of that without | least..most of it | user CPU an event | system CPU an event | events | connections | missed | peak MiB |")
	fmt.Fprintln(w, "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
	for i := range ws {
		if s := samples[ws[i].name]; len(s) > 0 {
			writeRow(w, &ws[i], s)
		}
	}
	fmt.Fprintln(w)
	for i := range ws {
		if f := ws[i].fault; f != "" {
			fmt.Fprintf(w, "- %s does not run here: %s\n", ws[i].name, strings.ReplaceAll(f, "\n", " "))
		}
		said := ""
		for _, s := range samples[ws[i].name] {
			if s.faults != "" {
				said = s.faults
			}
		}
		if lost := total(samples[ws[i].name], func(s sample) uint64 { return s.lost }); lost > 0 {
			fmt.Fprintf(w, "- %s told %d events as lost\n", ws[i].name, lost)
		}
		if said != "" {
			fmt.Fprintf(w, "- beside %s it was said: %s\n", ws[i].name, said)
		}
	}
}

// writeRow prints one watcher.
func writeRow(w io.Writer, one *watcher, samples []sample) {
	fmt.Fprintf(w, "| %s | %.0f ", one.name, median(samples, func(s sample) float64 { return s.rate }))
	if one.name == nobody {
		fmt.Fprint(w, "| | ")
	} else {
		shares := values(samples, func(s sample) float64 { return 100 * s.rate / max(1, s.without) })
		fmt.Fprintf(w, "| %.1f %% | %.1f..%.1f %% ", middle(shares), shares[0], shares[len(shares)-1])
	}
	made := total(samples, func(s sample) uint64 { return s.made })
	if one.args == nil {
		fmt.Fprintf(w, "| | | | %d | | |\n", made)
		return
	}
	lines, seen := total(samples, func(s sample) uint64 { return s.lines }), total(samples, func(s sample) uint64 { return s.seen })
	each := func(of func(s sample) time.Duration) string {
		return fmt.Sprintf("%.2f µs", median(samples, func(s sample) float64 {
			return float64(of(s).Nanoseconds()) / 1e3 / float64(max(1, s.lines))
		}))
	}
	missed := int64(made) - int64(seen)
	fmt.Fprintf(w, "| %s | %s | %d | %d | %d (%.3f %%) | %.1f |\n",
		each(func(s sample) time.Duration { return s.user }), each(func(s sample) time.Duration { return s.system }), lines, made,
		missed, 100*float64(missed)/float64(max(1, made)),
		float64(slices.MaxFunc(samples, func(a, b sample) int { return int(a.peakKiB - b.peakKiB) }).peakKiB)/1024)
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
