//go:build linux

package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// A page gathers what is printed in the end.
type page struct {
	host  []string
	when  time.Time
	notes []string
	loads []loadResult
	// took holds every measurement by "load/tool", for the targets.
	took map[string]stats
}

// A loadResult is one table.
type loadResult struct {
	load  load
	names []string
	stats map[string]stats
}

func (p *page) note(format string, args ...any) {
	p.notes = append(p.notes, fmt.Sprintf(format, args...))
}

// add takes the measurements of one load.
func (p *page) add(l load, tools []tool, s map[string]stats) {
	r := loadResult{load: l, stats: s}
	for _, t := range tools {
		if one, ok := s[t.name]; ok {
			r.names = append(r.names, t.name)
			p.took[l.key+"/"+t.name] = one
		}
	}
	p.loads = append(p.loads, r)
}

// get returns a measurement that can be compared.
func (p *page) get(key, name string) (stats, bool) {
	s, ok := p.took[key+"/"+name]
	return s, ok && s.fault == ""
}

// printLoad shows the last load while the others are still to come.
func (p *page) printLoad(w io.Writer, l load) {
	for _, r := range p.loads {
		if r.load.key == l.key {
			r.write(w)
		}
	}
}

// String is the whole page, in Markdown.
func (p *page) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Whole processes, side by side\n\n%s UTC. ", p.when.UTC().Format("2006-01-02 15:04"))
	b.WriteString("Wall time of the whole process with its output in a file, medians; " +
		"the commands of a table run in turn, A B C A B C. CPU is user and system together. " +
		"The last column is how many times as long `ss -tunap` takes.\n\n")
	for _, line := range p.host {
		fmt.Fprintf(&b, "- %s\n", line)
	}
	for _, r := range p.loads {
		r.write(&b)
	}
	p.writeTargets(&b)
	if len(p.notes) > 0 {
		b.WriteString("\n## Notes\n\n")
		for _, n := range p.notes {
			fmt.Fprintf(&b, "- %s\n", n)
		}
	}
	return b.String()
}

// write writes one load's table.
func (r loadResult) write(w io.Writer) {
	fmt.Fprintf(w, "\n## %s (`%s`)\n\n", r.load.title, r.load.key)
	fmt.Fprint(w, "| command | ms | least ms | CPU ms | peak MiB | rows | runs | `ss -tunap` takes |\n")
	fmt.Fprint(w, "|---|--:|--:|--:|--:|--:|--:|--:|\n")
	ss, haveSS := r.stats[ssAll]
	for _, name := range r.names {
		s := r.stats[name]
		if s.fault != "" {
			fmt.Fprintf(w, "| `%s` | not comparable: %s | | | | | | |\n", name, strings.ReplaceAll(s.fault, "|", `\|`))
			continue
		}
		times := ""
		if haveSS && ss.fault == "" && !s.over {
			times = atLeastSign(ss.over) + fmt.Sprintf("%.2f ×", ratio(ss.wall, s.wall))
		}
		over := atLeastSign(s.over)
		fmt.Fprintf(w, "| `%s` | %s%s | %s%s | %s | %.1f | %d | %d | %s |\n", name,
			over, millis(s.wall), over, millis(s.best), millis(s.cpu), float64(s.peakKiB)/1024, s.rows, s.runs, times)
	}
}

func atLeastSign(over bool) string {
	if over {
		return "> "
	}
	return ""
}

func ratio(a, b time.Duration) float64 { return float64(a) / float64(b) }

func millis(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	if ms < 100 {
		return fmt.Sprintf("%.1f", ms)
	}
	return fmt.Sprintf("%.0f", ms)
}
