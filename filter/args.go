package filter

import (
	"slices"
	"strings"
)

// ParseArgs reads a filter expression from the arguments of a command line, and
// returns it with its text: the arguments joined by one space. A value in quotes of
// the shell has quotes again. Without arguments both are empty. Offsets of a
// [SyntaxError] refer to this text.
func ParseArgs(args []string) (Expr, string, error) { return Dialect{}.ParseArgs(args) }

// ParseArgs is the function of that name.
func (d Dialect) ParseArgs(args []string) (Expr, string, error) {
	text := strings.Join(args, " ")
	if len(text) <= MaxLength {
		text = strings.Join(quoteValues(args), " ")
	}
	e, err := d.Parse(text)
	return e, text, err
}

// argsBefore is how many arguments are read to see what may follow. Reading all
// of them for each would take time with the square of their number.
const argsBefore = 64

// mayFollow returns what may follow the arguments. Of many it reads the last
// condition: from the last connective on or, without one near, from a word on
// that a condition can begin with.
func mayFollow(args []string) []Candidate {
	start := 0
	if len(args) > argsBefore {
		start = len(args) - argsBefore
		for i := len(args) - 1; i >= start; i-- {
			if k := keyword(args[i]); k == tokAnd || k == tokOr || k == tokNot {
				start = i + 1
				break
			}
		}
	}
	for first := start; ; first++ {
		_, next := Complete(strings.Join(args[first:], " ") + " ")
		if len(next) > 0 || start == 0 || first == start+2 || first >= len(args)-1 {
			return next
		}
	}
}

// quoteValues puts quotes around arguments with quotes of the shell, in the place of
// a value: process 'Web Content'. Elsewhere an argument with spaces in
// it is a piece of an expression.
func quoteValues(args []string) []string {
	copied := false
	for i, a := range args {
		if i == 0 || !strings.ContainsAny(a, " \t") || strings.ContainsAny(a, ",()\"'") || strings.ContainsAny(a[:1], "=!<>~&|") {
			continue
		}
		next := mayFollow(args[:i])
		begins := func(c Candidate) bool { return c.Text == "not" }
		if len(next) == 0 || slices.ContainsFunc(next, begins) {
			continue // a condition may begin here
		}
		if !copied {
			args, copied = slices.Clone(args), true
		}
		args[i] = `"` + strings.ReplaceAll(a, `\`, `\\`) + `"`
	}
	return args
}
