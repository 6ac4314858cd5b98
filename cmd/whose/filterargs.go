package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/seed-44df2ae6/whose/filter"
)

// parseFilter parses the words after the flags as one expression, and returns
// it with its text.
func parseFilter(words []string) (filter.Expr, string, error) {
	if len(words) == 0 {
		return nil, "", nil
	}
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
