package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/internal/render"
)

// newHelp is the command help. It knows the other commands, and has the topics
// as commands of its own. They have help and do nothing.
func newHelp(root *cobra.Command, sh *shell) *cobra.Command {
	help := &cobra.Command{
		Use:   "help [command or topic]",
		Short: "show the help of a command, or of a topic",
	}
	help.AddCommand(newTopic("filter", sh, helpPrinter.filter),
		newTopic("flags", sh, func(p helpPrinter) { p.flags(root) }), newTopic("template", sh, helpPrinter.template))
	topics := commandNames(help)
	help.RunE = func(_ *cobra.Command, args []string) error {
		cmd, rest, err := root.Find(args)
		if err != nil || len(rest) > 0 {
			return whose.WithHint(usagef("no command %q", strings.Join(args, " ")),
				"the commands are %s; the topics are %s",
				strings.Join(commandNames(root), ", "), strings.Join(topics, ", "))
		}
		return cmd.Help()
	}
	help.ValidArgsFunction = completeWords(append(topics, commandNames(root)...)...)
	return help
}

// newTopic is a text of help without a command.
func newTopic(name string, sh *shell, write func(helpPrinter)) *cobra.Command {
	topic := &cobra.Command{Use: name}
	topic.SetHelpFunc(func(*cobra.Command, []string) { write(newHelpPrinter(sh)) })
	return topic
}

// filter explains the filter language.
func (p helpPrinter) filter() {
	p.text(0, wordNotes)
	p.head("Words")
	p.rows(filterWords)
	p.head("Examples")
	p.rows(filterExamples())
	p.head("Fields")
	p.words(fieldNamesOf(func(*whose.Field) bool { return true }))
	p.text(2, "whose fields says what they mean, and their other names.")
}

// filterExamples are the examples of the reference page, as typed.
func filterExamples() []row {
	var rows []row
	for _, e := range filter.Examples() {
		rows = append(rows, row{e.Filter, e.Doc})
	}
	return rows
}

// template explains --template.
func (p helpPrinter) template() {
	p.text(0, templateNotes)
	p.head("Examples")
	p.rows(templateExamples)
	p.head("Functions")
	p.rows(templateFunctions())
	for _, part := range templateParts {
		p.head(part.says)
		p.words(templateKeys(part.groups))
	}
}

// templateFunctions are the functions beside those of text/template itself.
func templateFunctions() []row {
	var rows []row
	for _, f := range render.TemplateFunctions() {
		rows = append(rows, row{f.Usage, f.Doc})
	}
	return rows
}

// templateParts are the maps in the data of a template.
var templateParts = []struct {
	says   string
	groups []whose.Group
}{
	{"Keys of a session", []whose.Group{whose.OfSession, whose.OfTCP}},
	{"Keys of each of .owners", []whose.Group{whose.OfOwner}},
	{"Keys of each of .peer, the owners of the other end", []whose.Group{whose.OfPeer}},
}

// templateKeys are the names in a template of the fields of some groups.
func templateKeys(groups []whose.Group) []string {
	keys := fieldNamesOf(func(f *whose.Field) bool { return slices.Contains(groups, f.Of) })
	for i, name := range keys {
		keys[i] = "." + whose.FieldByName(name).JSONKey()
	}
	return keys
}

// fieldNamesOf returns the names of the wanted fields.
func fieldNamesOf(wanted func(*whose.Field) bool) []string {
	var names []string
	for _, f := range whose.Fields() {
		if wanted(f) {
			names = append(names, f.Name)
		}
	}
	return names
}

// words writes a list of words, as many to a line as fit.
func (p helpPrinter) words(words []string) { p.text(2, strings.Join(words, " ")) }
