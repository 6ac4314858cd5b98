package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/seed-44df2ae6/whose/internal/render"
)

// Help is written for the width of the terminal, within these bounds. Cobra's own
// templates wrap no lines and know no groups of flags.
const (
	helpWidth    = 80
	helpMaxWidth = 100
	helpMinWidth = 40
)

// commandNames returns the names of the visible subcommands.
func commandNames(root *cobra.Command) []string {
	var names []string
	for _, r := range commands(root) {
		names = append(names, r.thing)
	}
	return names
}

// A helpPrinter writes the help of one command or topic.
type helpPrinter struct {
	w     io.Writer
	width int
}

func newHelpPrinter(sh *shell) helpPrinter {
	width := sh.width()
	if width == 0 {
		width = helpWidth
	}
	return helpPrinter{w: sh.noted(), width: min(max(width, helpMinWidth), helpMaxWidth)}
}

// command writes the help of a command. The root's help has to fit a screen of 24
// lines; its rest is the topic flags.
func (p helpPrinter) command(cmd *cobra.Command) {
	if !cmd.HasParent() {
		p.root(cmd)
		return
	}
	p.text(0, about(cmd))
	p.head("Usage")
	for _, line := range synopsis(cmd) {
		fmt.Fprintf(p.w, "  %s\n", line)
	}
	if rows := examples(cmd); len(rows) > 0 {
		p.head("Examples")
		p.rows(rows)
	}
	if rows := commands(cmd); len(rows) > 0 {
		p.head("Commands")
		p.rows(rows)
	}
	p.groups(cmd)
}

// root writes the help of whose itself: a screen, with a line for the prompt.
func (p helpPrinter) root(cmd *cobra.Command) {
	p.text(0, sentence(cmd.Short))
	p.short("Usage: " + strings.Join(synopsis(cmd), " or "))
	p.head("Examples")
	p.rows(examples(cmd))
	p.head("Flags")
	p.rows(mainFlags)
	p.short("Commands: " + strings.Join(commandNames(cmd), " "))
	p.short(moreHelp)
}

// short writes a part that needs no line for its title. Further lines are indented.
func (p helpPrinter) short(text string) {
	fmt.Fprintln(p.w)
	for i, line := range wrap(text, p.width-2) {
		fmt.Fprintf(p.w, "%*s%s\n", 2*min(i, 1), "", line)
	}
}

// flags writes what the help of whose itself has no room for.
func (p helpPrinter) flags(root *cobra.Command) {
	p.text(0, about(root))
	p.groups(root)
	p.head("Commands")
	p.rows(commands(root))
	p.head("Exit status")
	p.text(2, exitShort)
}

// groups writes the flags of a command.
func (p helpPrinter) groups(cmd *cobra.Command) {
	for _, g := range flagGroups(cmd) {
		p.head(g.name)
		p.rows(g.rows)
	}
}

func (p helpPrinter) head(title string) { fmt.Fprintf(p.w, "\n%s:\n", title) }

// A row is a thing and its description.
type row struct{ thing, says string }

// rows writes two columns, the second wrapped.
func (p helpPrinter) rows(rows []row) {
	col := 0
	for _, r := range rows {
		col = max(col, render.Width(r.thing))
	}
	col = min(col, p.width/2)
	for _, r := range rows {
		gap := col - render.Width(r.thing)
		fmt.Fprintf(p.w, "  %s", r.thing)
		if gap < 0 {
			fmt.Fprintf(p.w, "\n")
			gap = col + 2
		}
		for i, line := range wrap(r.says, p.width-col-4) {
			if i > 0 {
				gap = col + 2
			}
			fmt.Fprintf(p.w, "%*s  %s\n", gap, "", line)
		}
	}
}

// text writes paragraphs, parted by empty lines, wrapped. Lines with a leading
// space stay as they are.
func (p helpPrinter) text(indent int, text string) {
	for i, para := range strings.Split(strings.TrimSpace(text), "\n\n") {
		if i > 0 {
			fmt.Fprintln(p.w)
		}
		if strings.HasPrefix(para, " ") {
			fmt.Fprintln(p.w, para)
			continue
		}
		for _, line := range wrap(para, p.width-indent) {
			fmt.Fprintf(p.w, "%*s%s\n", indent, "", line)
		}
	}
}

// wrap breaks text into lines of at most width columns; a longer word stands alone.
func wrap(text string, width int) []string {
	lines := []string{""}
	for _, word := range strings.Fields(text) {
		last := &lines[len(lines)-1]
		switch {
		case *last == "":
			*last = word
		case render.Width(*last)+1+render.Width(word) <= width:
			*last += " " + word
		default:
			lines = append(lines, word)
		}
	}
	return lines
}

// about returns the long text of a command, or its short one as a sentence.
func about(cmd *cobra.Command) string {
	if cmd.Long != "" {
		return cmd.Long
	}
	return sentence(cmd.Short)
}

// sentence begins with a capital and ends with a full stop.
func sentence(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:] + "."
}

// synopsis returns the lines under Usage.
func synopsis(cmd *cobra.Command) []string {
	if cmd.HasParent() {
		return []string{cmd.UseLine()}
	}
	return []string{cmd.Use, cmd.Name() + " COMMAND [flags]"}
}

// examples returns the examples of a command. In the tree they are lines with
// a tab between the command line and its effect.
func examples(cmd *cobra.Command) []row {
	var rows []row
	for line := range strings.Lines(cmd.Example) {
		typed, says, _ := strings.Cut(strings.TrimSpace(line), "\t")
		rows = append(rows, row{typed, strings.TrimSpace(says)})
	}
	return rows
}

// commands lists the visible subcommands.
func commands(cmd *cobra.Command) []row {
	var rows []row
	for _, c := range cmd.Commands() {
		if !c.Hidden && c.Name() != "help" {
			rows = append(rows, row{c.Name(), c.Short})
		}
	}
	return rows
}

// allCommands returns the visible commands below cmd, each before its own.
func allCommands(cmd *cobra.Command) []*cobra.Command {
	var all []*cobra.Command
	for _, c := range cmd.Commands() {
		if !c.Hidden && c.Name() != "help" {
			all = append(append(all, c), allCommands(c)...)
		}
	}
	return all
}

// A helpGroup is a group of flags ready to be shown.
type helpGroup struct {
	name string
	rows []row
}

// flagGroups returns the flags of a command by group.
func flagGroups(cmd *cobra.Command) []helpGroup {
	var groups []helpGroup
	for _, name := range []string{groupWhich, groupShow, groupHow, groupThen, groupServe, groupExport, groupFleet, groupOther} {
		var rows []row
		visit := func(f *pflag.Flag) {
			if groupOf(f) == name && !f.Hidden {
				rows = append(rows, row{flagThing(f), flagSays(f)})
			}
		}
		cmd.NonInheritedFlags().VisitAll(visit)
		cmd.InheritedFlags().VisitAll(visit)
		if len(rows) > 0 {
			groups = append(groups, helpGroup{name, rows})
		}
	}
	if len(groups) == 1 || !hasSelection(groups) {
		return joinGroups(groups)
	}
	return groups
}

// hasSelection reports whether a command has flags for the choice of sessions.
// Other commands have few flags, all in one group.
func hasSelection(groups []helpGroup) bool {
	return slices.ContainsFunc(groups, func(g helpGroup) bool { return g.name == groupWhich })
}

func joinGroups(groups []helpGroup) []helpGroup {
	all := helpGroup{name: "Flags"}
	for _, g := range groups {
		all.rows = append(all.rows, g.rows...)
	}
	return []helpGroup{all}
}

func groupOf(f *pflag.Flag) string {
	if group := annotation(f, annotationGroup); group != "" {
		return group
	}
	return groupOther
}

func annotation(f *pflag.Flag, key string) string {
	if a := f.Annotations[key]; len(a) > 0 {
		return a[0]
	}
	return ""
}

// flagThing is a flag as typed: "-N, --netns NETNS".
func flagThing(f *pflag.Flag) string {
	thing := "    --" + f.Name
	if f.Shorthand != "" {
		thing = "-" + f.Shorthand + ", --" + f.Name
	}
	if value := annotation(f, annotationValue); value != "" {
		thing += " " + value
	}
	return thing
}

// flagSays is the flag's meaning, with the default if it is of use, and its variable.
func flagSays(f *pflag.Flag) string {
	var more []string
	switch f.DefValue {
	case "", "false", "0":
	default:
		more = append(more, "default "+f.DefValue)
	}
	if name := annotation(f, annotationVariable); name != "" {
		more = append(more, "$"+name)
	}
	if len(more) == 0 {
		return f.Usage
	}
	return f.Usage + " (" + strings.Join(more, "; ") + ")"
}
