package result

import (
	"path/filepath"
	"slices"
	"strings"
)

// Markdown returns the report with its title as a heading of this level.
func (r *Report) Markdown(level int) string {
	var b strings.Builder
	b.WriteString(strings.Repeat("#", level) + " " + r.Title + "\n")
	paragraphs(&b, r.Text)
	list(&b, r.Machine)
	for i := range r.Tables {
		b.WriteString("\n" + r.Tables[i].Markdown(level+1))
	}
	list(&b, r.Notes)
	return b.String()
}

// Markdown returns the table below its title, a heading of this level.
func (t *Table) Markdown(level int) string {
	var b strings.Builder
	if t.Title != "" {
		b.WriteString(strings.Repeat("#", level) + " " + t.Title + "\n")
		paragraphs(&b, t.Text)
		b.WriteString("\n")
	}
	line := func(cells []Cell) {
		for _, c := range cells {
			b.WriteString("| ")
			if c != "" {
				b.WriteString(strings.ReplaceAll(string(c), "|", `\|`) + " ")
			}
		}
		b.WriteString("|\n")
	}
	head := make([]Cell, len(t.Columns))
	rule := "|"
	for i, name := range t.Columns {
		head[i] = Cell(name)
		if i == 0 || name == "" {
			rule += "---|"
		} else {
			rule += "--:|"
		}
	}
	line(head)
	b.WriteString(rule + "\n")
	for _, row := range t.Rows {
		line(row)
	}
	list(&b, t.Notes)
	return b.String()
}

func paragraphs(b *strings.Builder, text []string) {
	for _, p := range text {
		b.WriteString("\n" + p + "\n")
	}
}

func list(b *strings.Builder, items []string) {
	for i, item := range items {
		if i == 0 {
			b.WriteString("\n")
		}
		b.WriteString("- " + item + "\n")
	}
}

const head = `# Performance

<!-- Made of the files in bench/result/data by make generate. -->

This page holds figures: the cost of ` + "`whose`" + ` beside other tools, and the
truth of its events. [bench/README.md](../bench/README.md) says how they are
measured, and ` + "`make bench` and `make bench-live`" + ` repeat it.
[tricks.md](tricks.md) gives the reasons, [limits.md](limits.md) the bounds,
[earlier-figures.md](earlier-figures.md) earlier figures.
`

// Page returns docs/performance.md: the reports of a folder in the order of
// their file names.
func Page(folder string) (string, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil {
		return "", err
	}
	slices.Sort(files)
	page := head
	for _, file := range files {
		r, err := ReadFile(file)
		if err != nil {
			return "", err
		}
		page += "\n" + r.Markdown(2)
	}
	return page, nil
}
