package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/seed-44df2ae6/whose"
)

func TestNotSeen(t *testing.T) {
	c := &whose.Coverage{Processes: 328}
	if got := notSeen(c); got != "" {
		t.Errorf("a whole answer: %q", got)
	}
	c.Add(whose.Gap{Kind: whose.GapProcesses, Cause: whose.CausePermission, Count: 12, Hint: "try sudo"})
	want := "12 of 340 processes could not be looked into (permission denied); try sudo"
	if got := notSeen(c); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	c.Add(whose.Gap{Kind: whose.GapNamespaces, Cause: whose.CausePermission, Count: 3})
	c.Add(whose.Gap{Kind: whose.GapNamespaces, Cause: whose.CausePermission, Count: 1})
	c.Add(whose.Gap{Kind: whose.GapTables, Cause: whose.CauseChanged})
	want = "12 of 340 processes and 4 network namespaces could not be looked into (permission denied), " +
		"some tables could not be read in one piece (changed under every attempt); try sudo"
	if got := notSeen(c); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestQuestionHint(t *testing.T) {
	for _, c := range []struct{ typed, netns, want string }{
		{"cont", "all", "cont was taken for the name of a process; did you mean the command whose count?"},
		{"proces nginx", "all", "proces was taken for the name of a process; did you mean process?"},
		{"postgr", "all", "for a part of a process's name: whose '*postgr*'"},
		{"process postgr", "self", "for a part of a process's name: whose '*postgr*'"},
		{"'*postgr*'", "all", ""},
		{":443", "all", ""},
		{":443", "wbe", "did you mean -N web?"},
		{":443", "web", ""},
		{"", "db", ""},
	} {
		where, _, err := parseFilter(strings.Fields(c.typed))
		if err != nil {
			t.Fatal(err)
		}
		q := question{typed: c.typed, where: where, netns: c.netns}
		if got := cmp.Or(q.mistyped(), q.hint([]string{"web", "mail"})); got != c.want {
			t.Errorf("%q in %s: %q, want %q", c.typed, c.netns, got, c.want)
		}
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
		{&whose.PartialError{Gaps: whose.Gaps{{Kind: whose.GapProcesses, Cause: whose.CausePermission, Count: 2}}}, exitPartial,
			"whose: error: partial answer: 2 processes could not be looked into (permission denied)\n"},
		{fmt.Errorf("collect: %w", context.Canceled), exitInterrupted, ""},
	} {
		var said bytes.Buffer
		if got := (&shell{err: &said, getenv: os.Getenv}).report(test.err); got != test.want || said.String() != test.said {
			t.Errorf("%v: status %d and %q, want %d and %q", test.err, got, said.String(), test.want, test.said)
		}
	}
}
