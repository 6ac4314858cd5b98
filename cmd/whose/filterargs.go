package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-44df2ae6/whose/filter"
)

// parseFilter parses the words after the flags as one expression, and returns
// it with its text.
func parseFilter(words []string) (filter.Expr, string, error) {
	if len(words) == 0 {
		return nil, "", nil
	}
	words = quoteValues(words)
	expr, err := filter.ParseArgs(words)
	if err == nil {
		return expr, strings.Join(words, " "), nil
	}
	var syntax *filter.SyntaxError
	if errors.As(err, &syntax) {
		// The place is shown below by a caret, so it is not counted out.
		return nil, "", &usageError{&placed{syntax}}
	}
	return nil, "", &usageError{fmt.Errorf("filter: %w", err)}
}

// A placed error is a mistake in the filter without the offset in its text.
type placed struct{ syntax *filter.SyntaxError }

// Error is the message alone.
func (e *placed) Error() string { return "filter: " + e.syntax.Msg }

// Unwrap returns the error that knows the place.
func (e *placed) Unwrap() error { return e.syntax }

// quoteValues puts quotes of the filter's own around words that had quotes of
// the shell, where a value has to stand: process 'Web Content'. Elsewhere a
// word with spaces in it is a piece of an expression.
func quoteValues(words []string) []string {
	for i, w := range words {
		if i == 0 || !strings.ContainsAny(w, " \t") || strings.ContainsAny(w, ",()\"'") || strings.ContainsAny(w[:1], "=!<>~&|") {
			continue
		}
		_, next := filter.Complete(strings.Join(words[:i], " ") + " ")
		begins := func(c filter.Candidate) bool { return c.Text == "not" }
		if len(next) == 0 || slices.ContainsFunc(next, begins) {
			continue // a condition may begin here
		}
		words = slices.Clone(words)
		words[i] = `"` + strings.ReplaceAll(w, `\`, `\\`) + `"`
	}
	return words
}
