package filter

import (
	"slices"
	"strings"
)

// ParseArgs reads a filter expression from the arguments of a command line, and
// returns it with its text: the arguments joined by one space. A value in quotes of
// the shell has quotes again. Without arguments both are empty. Offsets of a
// [SyntaxError] refer to this text.
func ParseArgs(args []string) (Expr, string, error) {
	text := strings.Join(quoteValues(args), " ")
	e, err := Parse(text)
	return e, text, err
}

// quoteValues puts quotes around arguments with quotes of the shell, in the place of
// a value: process 'Web Content'. Elsewhere an argument with spaces in
// it is a piece of an expression.
func quoteValues(args []string) []string {
	for i, a := range args {
		if i == 0 || !strings.ContainsAny(a, " \t") || strings.ContainsAny(a, ",()\"'") || strings.ContainsAny(a[:1], "=!<>~&|") {
			continue
		}
		_, next := Complete(strings.Join(args[:i], " ") + " ")
		begins := func(c Candidate) bool { return c.Text == "not" }
		if len(next) == 0 || slices.ContainsFunc(next, begins) {
			continue // a condition may begin here
		}
		args = slices.Clone(args)
		args[i] = `"` + strings.ReplaceAll(a, `\`, `\\`) + `"`
	}
	return args
}
