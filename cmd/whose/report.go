package main

// The rules for reports of a command:
//
//  1. An error is one line on stderr, "whose: error: ", operation first, then
//     the system's words. If the user can do something about it, a line
//     "whose: hint: " follows. Nothing else is ever written about an error.
//  2. A mistake in the user's words is shown with a caret below it.
//  3. Text of others (a filter, a file name, a process) is made safe.
//  4. A reader gone away and Ctrl-C are not errors and write nothing.
//  5. What an answer misses ("whose: 12 of 340 processes …") is one line on stderr,
//     to logs and programs too; not with --quiet, and not for Zabbix, whose
//     agents put stderr into the value.
//  6. Other remarks which are no errors are written only if stderr is a terminal.

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/internal/render"
)

// The exit statuses.
const (
	// exitFound: at least one session matched, or the command did its work.
	exitFound = 0
	// exitNothing: no session matched.
	exitNothing = 1
	// exitUsage: a wrong flag, filter, field, format or template.
	exitUsage = 2
	// exitFailed: the sessions could not be collected, or the output not written.
	exitFailed = 3
	// exitPartial: with --strict, something could not be seen.
	exitPartial = 4
	// exitInterrupted: stopped by Ctrl-C, as a shell counts it.
	exitInterrupted = 128 + 2
	// exitPipe: the reader of the output went away, as a shell counts it.
	exitPipe = 128 + 13
)

// errorPrefix begins the line of an error.
const errorPrefix = "whose: error: "

// A statusError ends the command with a status and without a word.
type statusError int

// Error returns a text never shown.
func (e statusError) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// A usageError is a mistake on the command line.
type usageError struct{ err error }

// Error returns the text of the cause.
func (e *usageError) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *usageError) Unwrap() error { return e.err }

// usagef makes a usageError.
func usagef(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

// writeError is the error of writing the output.
func writeError(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("write output: %w", err)
}

// report writes err to stderr and returns the exit status.
func (sh *shell) report(err error) int {
	var status statusError
	switch {
	case err == nil:
		return exitFound
	case errors.As(err, &status):
		return int(status)
	case errors.Is(err, syscall.EPIPE):
		return exitPipe
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	}
	sh.line(errorPrefix + oneLine(err))
	sh.showPlace(err)
	if hint := whose.Hint(err); hint != "" {
		sh.line("whose: hint: " + printable(hint))
	}
	var usage *usageError
	var partial *whose.PartialError
	switch {
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &partial):
		return exitPartial
	}
	return exitFailed
}

// collectError is the error of a collector or tracker. A mistake of the caller
// becomes one on the command line.
func collectError(err error) error {
	var unknown *whose.UnknownError
	switch {
	case errors.Is(err, collect.ErrNoField), errors.Is(err, collect.ErrNoSource):
		return &usageError{err}
	case errors.As(err, &unknown):
		return whose.WithHint(&usageError{err}, "%s", unknownHint(unknown))
	}
	return err
}

// unknownHint is the advice about a name that this host does not know.
func unknownHint(e *whose.UnknownError) string {
	if e.What == "user" {
		return "a user is always found by number, as in: user 1000"
	}
	return "whose count --by netns,netns_name lists them; by the name of a process in it: -N " + whose.ByProcess + "NAME"
}

// showPlace shows the place of the mistake in the filter.
func (sh *shell) showPlace(err error) {
	var syntax *filter.SyntaxError
	if !errors.As(err, &syntax) {
		return
	}
	for line := range strings.Lines(syntax.Caret()) {
		fmt.Fprintf(sh.err, "    %s\n", sh.legible(strings.TrimRight(line, "\n")))
	}
}

// oneLine is an error on one line, several joined ones parted by semicolons.
func oneLine(err error) string {
	return printable(strings.ReplaceAll(err.Error(), "\n", "; "))
}

// printable makes text of others safe to write to a terminal.
func printable(s string) string { return render.Safe(s) }

// notSeen returns in one line the gaps of an answer and a remedy, "" for a whole
// answer:
//
//	12 of 340 processes could not be looked into (permission denied); try sudo
func notSeen(c *whose.Coverage) string {
	text := c.Missing()
	if hint := c.Gaps.Hint(); hint != "" {
		text += "; " + hint
	}
	return text
}

// plural is a number with its noun.
func plural(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

// remark writes a line that is neither an error nor a gap, for a person only.
func (sh *shell) remark(format string, args ...any) {
	if isTerminal(sh.err) {
		sh.say(format, args...)
	}
}

// say writes a line other than an error to any stderr.
func (sh *shell) say(format string, args ...any) {
	sh.line("whose: " + printable(fmt.Sprintf(format, args...)))
}

// line writes text to stderr: as one line to a program, broken at words to the width
// of a terminal for a person.
func (sh *shell) line(text string) {
	text = sh.legible(text)
	if !isTerminal(sh.err) {
		fmt.Fprintln(sh.err, text)
		return
	}
	width := sh.number("COLUMNS")
	if w, _ := sizeOf(sh.err); width == 0 && w > 0 {
		width = w
	}
	for i, line := range wrap(text, max(width, helpMinWidth)-2) {
		if i > 0 {
			line = "  " + line
		}
		fmt.Fprintln(sh.err, line)
	}
}
