package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"
)

// tailLines is how much of a failed package's output is printed.
const tailLines = 60

// print says at once how a kernel did.
func (r result) print(w io.Writer) {
	fmt.Fprintf(w, "== %s: %s (%s, %s)\n", r.spec, r.title(), r.accel, r.took.Round(time.Second))
	for _, p := range r.packages {
		fmt.Fprintf(w, "   %-32s %s\n", p.name, p.cell())
		if p.status == 0 {
			continue
		}
		from := max(0, len(p.output)-tailLines)
		for _, line := range p.output[from:] {
			fmt.Fprintf(w, "      | %s\n", line)
		}
	}
	for _, c := range r.complaints {
		fmt.Fprintf(w, "   kernel: %s\n", c)
	}
	if r.err != nil {
		fmt.Fprintf(w, "   error: %v\n", r.err)
		lines := strings.Split(strings.TrimSpace(r.log), "\n")
		if r.log == "" {
			lines = nil
		}
		for _, line := range lines[max(0, len(lines)-tailLines):] {
			fmt.Fprintf(w, "      | %s\n", strings.TrimRight(line, "\r"))
		}
	}
}

// title names the kernel as it names itself, or as it was asked for.
func (r result) title() string {
	if r.release == "" {
		return r.spec
	}
	return r.release
}

// cell says in a few words how a package did.
func (p packageResult) cell() string {
	words := []string{fmt.Sprintf("%d passed", p.count("PASS"))}
	if n := p.count("SKIP"); n > 0 {
		words = append(words, fmt.Sprintf("%d skipped", n))
	}
	if n := p.count("FAIL"); n > 0 {
		words = append(words, fmt.Sprintf("**%d failed**", n))
	}
	if p.status != 0 && p.count("FAIL") == 0 {
		words = append(words, fmt.Sprintf("**exit status %d**", p.status))
	}
	return strings.Join(words, ", ")
}

// writeTable writes one row a package, one column a kernel, and then what was
// not passed, with its reason.
func writeTable(w io.Writer, results []result) {
	fmt.Fprint(w, "\n| package |")
	for _, r := range results {
		fmt.Fprintf(w, " %s |", r.title())
	}
	fmt.Fprint(w, "\n|---|"+strings.Repeat("---|", len(results))+"\n")
	for _, name := range packageNames(results) {
		fmt.Fprintf(w, "| `%s` |", name)
		for _, r := range results {
			fmt.Fprintf(w, " %s |", r.cellOf(name))
		}
		fmt.Fprintln(w)
	}
	for _, r := range results {
		r.writeExceptions(w)
	}
}

func packageNames(results []result) []string {
	var names []string
	seen := map[string]bool{}
	for _, r := range results {
		for _, p := range r.packages {
			if !seen[p.name] {
				seen[p.name] = true
				names = append(names, p.name)
			}
		}
	}
	return names
}

func (r result) cellOf(name string) string {
	for _, p := range r.packages {
		if p.name == name {
			return p.cell()
		}
	}
	return "not run"
}

// writeExceptions lists what failed, was skipped or was complained of.
func (r result) writeExceptions(w io.Writer) {
	var lines []string
	if r.err != nil {
		first, _, _ := strings.Cut(r.err.Error(), "\n")
		lines = append(lines, "could not be tried to the end: "+first)
	}
	for _, p := range r.packages {
		for _, t := range p.tests {
			if t.outcome != "PASS" {
				what := map[string]string{"FAIL": "**failed**", "SKIP": "skipped"}[t.outcome]
				lines = append(lines, fmt.Sprintf("`%s` %s: %s", t.name, what, plain(t.reason)))
			}
		}
	}
	for _, c := range r.complaints {
		lines = append(lines, "kernel: "+plain(c))
	}
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s:\n\n", r.title())
	for _, line := range lines {
		fmt.Fprintf(w, "- %s\n", line)
	}
}

// reasonLength bounds what is told of one reason; the rest is on the console.
const reasonLength = 200

// plain shortens a text and keeps it from being read as Markdown's own signs.
func plain(s string) string {
	if s == "" {
		return "no reason given"
	}
	if r := []rune(s); len(r) > reasonLength {
		s = string(r[:reasonLength]) + " …"
	}
	return strings.NewReplacer("|", `\|`, "<", `\<`, "*", `\*`).Replace(s)
}

// A record stands between these two lines of the page; what is around them is
// written by hand and stays.
const (
	recordBegin = "<!-- matrix: begin. What follows is written by `make matrix`. -->"
	recordEnd   = "<!-- matrix: end -->"
)

// writeRecord puts the record of a run into its place in the page.
func writeRecord(file string, results []result, now time.Time) error {
	page, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read page for the record: %w", err)
	}
	before, rest, begins := strings.Cut(string(page), recordBegin)
	_, after, ends := strings.Cut(rest, recordEnd)
	if !begins || !ends {
		return fmt.Errorf("write record: %s has no place for it: want the lines %q and %q", file, recordBegin, recordEnd)
	}
	var b strings.Builder
	b.WriteString(before + recordBegin + "\n\n")
	fmt.Fprintf(&b, "Made on %s with %s.\n\n", now.UTC().Format(time.DateOnly), runtime.Version())
	b.WriteString("| kernel | package | BTF | run by | time |\n|---|---|---|---|---|\n")
	for _, r := range results {
		pkg, by := r.pkg, map[string]string{"kvm": "QEMU, KVM", "tcg": "QEMU, software emulation"}[r.accel]
		if r.spec == "host" {
			pkg, by = "this machine's", "the machine itself"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", r.title(), pkg, r.fact("btf"), by, r.took.Round(time.Second))
	}
	writeTable(&b, results)
	b.WriteString("\n" + recordEnd + after)
	if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
		return fmt.Errorf("write record: %w", err)
	}
	return nil
}

// fact returns what was seen of one thing.
func (r result) fact(name string) string {
	for _, f := range r.facts {
		if value, ok := strings.CutPrefix(f, name+" "); ok {
			return value
		}
	}
	return "unknown"
}
