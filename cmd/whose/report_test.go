package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/seed-44df2ae6/whose"
)

func TestHidden(t *testing.T) {
	c := &whose.Coverage{Processes: 328}
	if got := hiddenFrom(c, 0); got != "" {
		t.Errorf("a whole answer: %q", got)
	}
	c.Add(whose.Gap{Kind: whose.GapProcesses, Count: 12, Why: "permission denied", Hint: "try sudo"})
	want := "12 of 340 processes could not be looked into (permission denied); try sudo"
	if got := hiddenFrom(c, 0); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	c.Add(whose.Gap{Kind: whose.GapNamespaces, Count: 3, Why: "permission denied"})
	c.Add(whose.Gap{Kind: whose.GapNamespaces, Count: 1, Why: "enter network namespace: operation not permitted"})
	c.Add(whose.Gap{Kind: whose.GapInterrupted, Why: "interrupted"})
	want = "12 of 340 processes and 4 network namespaces could not be looked into (permission denied), " +
		"some tables changed while being read (interrupted); try sudo"
	if got := hiddenFrom(c, 0); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	want = strings.Replace(want, "try sudo", "try sudo, or once: sudo whose pin --group whose (see whose pin --help)", 1)
	if got := hiddenFrom(c, 1000); got != want {
		t.Errorf("to an ordinary user: got  %q\nwant %q", got, want)
	}
}

func TestQuestionHint(t *testing.T) {
	for _, c := range []struct{ typed, netns, want string }{
		{"cont", "all", "did you mean the command whose count?"},
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
		q := question{typed: c.typed, where: where, netns: c.netns, commands: []string{"count", "doctor"}}
		if got := q.hint([]string{"web", "mail"}); got != c.want {
			t.Errorf("%q in %s: %q, want %q", c.typed, c.netns, got, c.want)
		}
	}
}

func TestGapsText(t *testing.T) {
	denied, namespaces := "permission denied", whose.GapNamespaces
	for want, gaps := range map[string][]whose.Gap{
		"1 network namespace could not be looked into (permission denied)":                       {{Kind: namespaces, Count: 1, Why: denied}},
		"some network namespaces could not be looked into (permission denied)":                   {{Kind: namespaces, Why: denied}},
		"2 or more network namespaces could not be looked into (permission denied)":              {{Kind: namespaces, Why: denied}, {Kind: namespaces, Count: 2, Why: "x: " + denied}},
		"some processes could not be looked into (permission denied)":                            {{Kind: whose.GapProcesses, Why: denied}},
		"1 process could not be looked into (no such device)":                                    {{Kind: whose.GapProcesses, Count: 1, Why: "no such device"}},
		"2 network namespaces could not be looked into (held by a mount)":                        {{Kind: namespaces, Count: 2, Why: "held by a mount"}},
		"1 socket could not be read (x), the time allowed ran out (1s)":                          {{Kind: whose.GapSockets, Count: 1, Why: "x"}, {Kind: whose.GapDeadline, Why: "1s"}},
		"1 process could not be looked into (permission denied), 1 socket could not be read (x)": {{Kind: whose.GapSockets, Count: 1, Why: "x"}, {Kind: whose.GapProcesses, Count: 1, Why: denied}},
	} {
		if got := gapsText(&whose.Coverage{Gaps: gaps}); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
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
