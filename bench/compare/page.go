//go:build linux

package main

import (
	"fmt"
	"io"
	"time"

	"github.com/seed-44df2ae6/whose/bench/result"
)

// A page gathers the text printed at the end.
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

// get returns a comparable measurement.
func (p *page) get(key, name string) (stats, bool) {
	s, ok := p.took[key+"/"+name]
	return s, ok && s.fault == ""
}

// printLoad shows the last load while the others are still to come.
func (p *page) printLoad(w io.Writer, l load) {
	for _, r := range p.loads {
		if r.load.key == l.key {
			t := r.table()
			fmt.Fprint(w, "\n"+t.Markdown(2))
		}
	}
}

// report returns the whole page.
func (p *page) report() *result.Report {
	r := &result.Report{
		Title: "Whole processes, side by side",
		Text: []string{p.when.UTC().Format("2006-01-02 15:04") + " UTC. " +
			"Wall time of the whole process with its output in a file, medians; " +
			"the commands of a table run in turn, A B C A B C. CPU is user and system together. " +
			"The last column is how many times as long `ss -tunap` takes."},
		Machine: p.host,
		Notes:   p.notes,
	}
	for _, l := range p.loads {
		r.Tables = append(r.Tables, l.table())
	}
	r.Tables = append(r.Tables, p.targetTable("Targets", targets()), p.targetTable("Earlier targets", oldTargets()))
	return r
}

// table returns one load's table.
func (r loadResult) table() result.Table {
	t := result.Table{
		Title:   fmt.Sprintf("%s (`%s`)", r.load.title, r.load.key),
		Columns: []string{"command", "ms", "least ms", "CPU ms", "peak MiB", "rows", "runs", "`ss -tunap` takes"},
	}
	ss, haveSS := r.stats[ssAll]
	for _, name := range r.names {
		s := r.stats[name]
		row := make([]result.Cell, len(t.Columns))
		row[0] = result.Cell("`" + name + "`")
		if s.fault != "" {
			row[1] = result.Cell("not comparable: " + s.fault)
			t.Rows = append(t.Rows, row)
			continue
		}
		over := atLeastSign(s.over)
		for i, text := range []string{
			over + millis(s.wall), over + millis(s.best), millis(s.cpu), fmt.Sprintf("%.1f", float64(s.peakKiB)/1024),
			fmt.Sprint(s.rows), fmt.Sprint(s.runs),
		} {
			row[i+1] = result.Cell(text)
		}
		if haveSS && ss.fault == "" && !s.over {
			row[7] = result.Cell(atLeastSign(ss.over) + fmt.Sprintf("%.2f ×", ratio(ss.wall, s.wall)))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
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
