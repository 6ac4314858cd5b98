package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/seed-44df2ae6/whose"
)

var update = flag.Bool("update", false, "write the generated pages anew")

// TestPages_Fresh holds the man page and docs/cli.md against the texts of the
// command. go test ./cmd/whose -run TestPages -update writes them.
func TestPages_Fresh(t *testing.T) {
	root := newRoot(&shell{out: &bytes.Buffer{}, err: &bytes.Buffer{}, getenv: func(string) string { return "" }})
	for _, page := range []struct {
		path string
		text string
	}{
		{"../../docs/man/whose.1", newManPage(root).String()},
		{"../../docs/cli.md", newMarkdownPage(root)},
	} {
		if *update {
			if err := os.MkdirAll(filepath.Dir(page.path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(page.path, []byte(page.text), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := os.ReadFile(page.path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(page.text, string(got)); diff != "" {
			t.Errorf("%s is stale; go test ./cmd/whose -run TestPages -update writes it (-want +got):\n%s",
				page.path, diff)
		}
	}
}

// A manPage is a page in the man macros of troff (man(7)).
type manPage struct{ strings.Builder }

func newManPage(root *cobra.Command) *manPage {
	m := new(manPage)
	m.WriteString(".\\\" Written by go test ./cmd/whose -run TestPages -update. Do not edit.\n")
	m.WriteString(".TH WHOSE 1 \"\" \"whose\" \"User Commands\"\n")
	m.section("NAME")
	m.line("whose \\- " + escape(root.Short))
	m.section("SYNOPSIS")
	m.synopsis(root)
	m.section("DESCRIPTION")
	m.text(root.Long)
	m.text(privileges)
	m.section("FILTER")
	m.text(wordNotes)
	m.rows(filterWords)
	m.line(".SS " + quote("Examples of filters"))
	m.rows(filterExamples())
	m.section("OPTIONS")
	for _, g := range flagGroups(root) {
		m.WriteString(".SS " + quote(g.name) + "\n")
		m.rows(g.rows)
	}
	m.line(".SS " + quote("Notes"))
	m.rows(optionNotes)
	m.section("TEMPLATES")
	m.text(templateNotes)
	m.rows(templateExamples)
	m.rows(templateFunctions())
	m.commands(root)
	m.section("FIELDS")
	m.fields()
	m.section("EXAMPLES")
	m.rows(examples(root))
	m.section("EXIT STATUS")
	m.rows(exitStatuses)
	m.section("ENVIRONMENT")
	m.rows(environment)
	m.section("FILES")
	m.rows(files)
	m.section("SEE ALSO")
	m.text(seeAlso)
	return m
}

func (m *manPage) line(s string)        { m.WriteString(s + "\n") }
func (m *manPage) section(title string) { m.line(".SH " + quote(title)) }

func (m *manPage) synopsis(root *cobra.Command) {
	lines := synopsis(root)
	for _, c := range allCommands(root) {
		if !c.HasSubCommands() {
			lines = append(lines, c.UseLine())
		}
	}
	lines = append(lines[:1], lines[2:]...) // "whose COMMAND" says less than the commands do
	for i, l := range lines {
		if i > 0 {
			m.line(".br")
		}
		name, rest, _ := strings.Cut(l, " ")
		m.line("\\fB" + escape(name) + "\\fR " + escape(rest))
	}
}

// text writes paragraphs; lines that begin with a space stay as they are.
func (m *manPage) text(s string) {
	for para := range strings.SplitSeq(strings.TrimSpace(s), "\n\n") {
		m.line(".PP")
		for line := range strings.SplitSeq(para, "\n") {
			m.line(escape(line))
		}
	}
}

func (m *manPage) rows(rows []row) {
	for _, r := range rows {
		m.line(".TP")
		m.line("\\fB" + escape(strings.TrimSpace(r.thing)) + "\\fR")
		m.line(escape(sentenceLike(r.says)))
	}
}

func (m *manPage) commands(root *cobra.Command) {
	m.section("COMMANDS")
	for _, c := range allCommands(root) {
		m.line(".SS " + quote(c.UseLine()))
		m.text(about(c))
		m.rows(ownFlags(c, root))
		m.rows(examples(c))
	}
}

func (m *manPage) fields() {
	in := ""
	infos := fieldInfos()
	for i := range infos {
		f := &infos[i]
		if f.In != in {
			in = f.In
			m.line(".SS " + quote(groupHead(in)))
		}
		m.line(".TP")
		m.line("\\fB" + escape(f.names()) + "\\fR (" + f.Kind + ")")
		m.line(escape(fieldDoc(f)))
	}
}

// ownFlags are the flags of a command that the root does not have too.
func ownFlags(c, root *cobra.Command) []row {
	known := make(map[row]bool)
	for _, g := range flagGroups(root) {
		for _, r := range g.rows {
			known[r] = true
		}
	}
	var rows []row
	for _, g := range flagGroups(c) {
		for _, r := range g.rows {
			if !known[r] {
				rows = append(rows, r)
			}
		}
	}
	return rows
}

// sentenceLike makes a whole sentence of what stands beside a flag.
func sentenceLike(s string) string {
	if s == "" || strings.HasSuffix(s, ".") {
		return s
	}
	return sentence(s)
}

// escape makes text safe for troff.
func escape(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", `\[u2026]`, "→", `\[->]`, `"`, `\[dq]`, "~", `\[ti]`, "^", `\[ha]`).Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}

func quote(s string) string { return `"` + escape(s) + `"` }

// newMarkdownPage is the same reference as docs/cli.md.
func newMarkdownPage(root *cobra.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "<!-- Written by go test ./cmd/whose -run TestPages -update. Do not edit. -->\n\n")
	fmt.Fprintf(&b, "# The command\n\n%s\n\n", reflow(root.Long))
	fmt.Fprintf(&b, "```\n%s\n```\n\n%s\n\n", strings.Join(synopsis(root), "\n"), reflow(wordNotes))
	markdownRows(&b, "filter words", filterWords)
	for _, g := range flagGroups(root) {
		fmt.Fprintf(&b, "### %s\n\n", g.name)
		markdownRows(&b, "flag", g.rows)
	}
	fmt.Fprintf(&b, "### Notes\n\n")
	for _, n := range optionNotes {
		fmt.Fprintf(&b, "- **%s**: %s\n", n.thing, n.says)
	}
	fmt.Fprintf(&b, "\n### Templates\n\n%s\n\n", reflow(templateNotes))
	markdownRows(&b, "template", templateExamples)
	markdownRows(&b, "function", templateFunctions())
	for _, part := range templateParts {
		fmt.Fprintf(&b, "%s: `%s`\n\n", part.says, strings.Join(templateKeys(part.groups), "` `"))
	}
	fmt.Fprintf(&b, "### Examples\n\n")
	markdownRows(&b, "type", examples(root))
	fmt.Fprintf(&b, "### Exit status\n\n")
	markdownRows(&b, "status", exitStatuses)
	fmt.Fprintf(&b, "### Environment\n\n")
	markdownRows(&b, "variable", environment)
	fmt.Fprintf(&b, "### Files\n\n")
	markdownRows(&b, "file", files)
	fmt.Fprintf(&b, "### Privilege\n\n%s\n\n", reflow(privileges))
	for _, c := range allCommands(root) {
		fmt.Fprintf(&b, "## %s\n\n%s\n\n```\n%s\n```\n\n", c.CommandPath(), reflow(about(c)), c.UseLine())
		markdownRows(&b, "flag", ownFlags(c, root))
		markdownRows(&b, "type", examples(c))
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

func markdownRows(b *strings.Builder, head string, rows []row) {
	if len(rows) == 0 {
		return
	}
	fmt.Fprintf(b, "| %s | |\n|---|---|\n", head)
	cell := strings.NewReplacer("|", `\|`)
	for _, r := range rows {
		fmt.Fprintf(b, "| `%s` | %s |\n", cell.Replace(strings.TrimSpace(r.thing)), cell.Replace(sentenceLike(r.says)))
	}
	b.WriteString("\n")
}

// reflow puts each paragraph on one line, as the other pages are.
func reflow(s string) string {
	paras := strings.Split(strings.TrimSpace(s), "\n\n")
	for i, p := range paras {
		paras[i] = strings.Join(strings.Fields(p), " ")
	}
	return strings.Join(paras, "\n\n")
}

// TestPages_Complete finds every command, flag and field in the man page.
func TestPages_Complete(t *testing.T) {
	root := newRoot(&shell{out: &bytes.Buffer{}, err: &bytes.Buffer{}, getenv: func(string) string { return "" }})
	page := newManPage(root).String()
	var want []string
	for _, c := range allCommands(root) {
		want = append(want, ".SS "+quote(c.UseLine()))
		for _, g := range flagGroups(c) {
			for _, r := range g.rows {
				want = append(want, escape(strings.TrimSpace(r.thing)))
			}
		}
	}
	for _, f := range whose.Fields() {
		want = append(want, `\fB`+escape(f.Name))
	}
	for _, w := range want {
		if !strings.Contains(page, w) {
			t.Errorf("the man page has no %q", w)
		}
	}
}
