package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/seed-44df2ae6/whose"
)

func TestHidden(t *testing.T) {
	c := &whose.Coverage{Processes: 328}
	if got := hidden(c); got != "" {
		t.Errorf("a whole answer: %q", got)
	}
	c.Add(whose.Gap{Kind: whose.GapProcesses, Count: 12, Why: "permission denied", Hint: "try sudo"})
	want := "12 of 340 processes could not be looked into (permission denied); try sudo"
	if got := hidden(c); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	c.Add(whose.Gap{Kind: whose.GapNamespaces, Count: 1, Why: "operation not permitted"})
	c.Add(whose.Gap{Kind: whose.GapInterrupted, Why: "interrupted"})
	want = "12 of 340 processes could not be looked into (permission denied), " +
		"1 network namespace could not be looked into (operation not permitted), " +
		"some tables changed while being read (interrupted); try sudo"
	if got := hidden(c); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// TestReport: each kind of error has its exit status, and its words.
func TestReport(t *testing.T) {
	for _, test := range []struct {
		err  error
		want int
		said string
	}{
		{nil, exitFound, ""},
		{statusError(exitNothing), exitNothing, ""},
		{usagef("--x: bad"), exitUsage, "whose: error: --x: bad\n"},
		{whose.WithHint(errors.New("open: denied\x1b[31m"), "try %s", "sudo"), exitFailed,
			"whose: error: open: denied\\x1b[31m\nwhose: hint: try sudo\n"},
		{&whose.PartialError{Gaps: []whose.Gap{{Kind: whose.GapProcesses, Count: 2, Why: "denied"}}}, exitPartial,
			"whose: error: partial answer: 2 processes: denied\n"},
		{fmt.Errorf("collect: %w", context.Canceled), exitInterrupted, ""},
	} {
		var said bytes.Buffer
		if got := (&shell{err: &said}).report(test.err); got != test.want || said.String() != test.said {
			t.Errorf("%v: status %d and %q, want %d and %q", test.err, got, said.String(), test.want, test.said)
		}
	}
}
