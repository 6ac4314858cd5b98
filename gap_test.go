package whose_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/seed-44df2ae6/whose"
)

// A gap of each kind is one sentence, and all of them are one line, in which
// those for want of permission stand first and are said as one.
func TestGaps_String(t *testing.T) {
	const denied = whose.CausePermission
	for want, gaps := range map[string]whose.Gaps{
		"": nil,
		"1 network namespace could not be looked into (permission denied)":          {{Kind: whose.GapNamespaces, Cause: denied, Count: 1}},
		"some network namespaces could not be looked into (permission denied)":      {{Kind: whose.GapNamespaces, Cause: denied}},
		"2 or more network namespaces could not be looked into (permission denied)": {{Kind: whose.GapNamespaces, Cause: denied}, {Kind: whose.GapNamespaces, Cause: denied, Count: 2}},
		"some processes could not be looked into (permission denied)":               {{Kind: whose.GapProcesses, Cause: denied}},
		"1 process could not be looked into (no such device)":                       {{Kind: whose.GapProcesses, Cause: whose.CauseFailed, Count: 1, Detail: "no such device"}},
		"2 network namespaces could not be looked into (held by a mount)":           {{Kind: whose.GapNamespaces, Cause: whose.CauseUnsupported, Count: 2, Detail: "held by a mount"}},
		"1 socket could not be read (x), some sessions could not be seen (the time allowed ran out)": {
			{Kind: whose.GapSockets, Cause: whose.CauseFailed, Count: 1, Detail: "x"}, {Kind: whose.GapSessions, Cause: whose.CauseDeadline}},
		"1 process could not be looked into (permission denied), 1 socket could not be read (x)": {
			{Kind: whose.GapSockets, Cause: whose.CauseFailed, Count: 1, Detail: "x"}, {Kind: whose.GapProcesses, Cause: denied, Count: 1}},
		"5 processes and 1 network namespace could not be looked into (permission denied), some processes could not be looked into (hidepid=2)": {
			{Kind: whose.GapProcesses, Cause: denied, Detail: "hidepid=2"}, {Kind: whose.GapProcesses, Cause: denied, Count: 5}, {Kind: whose.GapNamespaces, Cause: denied, Count: 1}},
		"1 table could not be read in one piece (changed under every attempt)": {{Kind: whose.GapTables, Cause: whose.CauseChanged, Count: 1}},
		"12 events could not be seen (ring buffer full)":                       {{Kind: whose.GapEvents, Cause: whose.CauseLost, Count: 12, Detail: "ring buffer full"}},
		"3 rows had no room (a limit was reached)":                             {{Kind: whose.GapRows, Cause: whose.CauseLimit, Count: 3}},
		"there is no answer (open procfs: gone)":                               {{Kind: whose.GapAnswer, Cause: whose.CauseFailed, Detail: "open procfs: gone"}},
	} {
		if got := gaps.String(); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
}

// No sentence gives a reason twice, whatever is missing for whatever cause.
func TestGaps_String_Once(t *testing.T) {
	for _, cause := range whose.Causes() {
		var same whose.Gaps
		for _, kind := range whose.GapKinds() {
			for _, detail := range []string{"", "read /proc/7/fd: input/output error"} {
				for _, count := range []int{0, 1, 7} {
					g := whose.Gap{Kind: kind, Cause: cause, Count: count, Detail: detail}
					_, why, _ := strings.Cut(strings.TrimSuffix(g.String(), ")"), "(")
					if why == "" || strings.Count(g.String(), why) != 1 {
						t.Errorf("%s, %s: %s", kind, cause, g)
					}
					if detail == "" {
						same.Add(g)
					}
					pair := whose.Gaps{g, {Kind: whose.GapSessions, Cause: cause, Detail: detail}}
					if n := strings.Count(pair.String(), "("+why+")"); n != 1 && cause != whose.CausePermission {
						t.Errorf("%s and sessions, %s: the reason stands %d times: %s", kind, cause, n, pair)
					}
				}
			}
		}
		if n := strings.Count(same.String(), "("); n != 1 && cause != whose.CausePermission {
			t.Errorf("%s: %d reasons: %s", cause, n, same)
		}
	}
	late := whose.Gaps{{Kind: whose.GapSessions, Cause: whose.CauseDeadline}, {Kind: whose.GapUsers, Cause: whose.CauseDeadline, Count: 2}}
	const want = "some sessions could not be seen and 2 users could not be named (the time allowed ran out)"
	if got := late.String(); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestCoverage_Add(t *testing.T) {
	c := whose.Coverage{Processes: 95}
	if c.Err() != nil || c.Missing() != "" {
		t.Error("a whole answer is an error")
	}
	c.Add(whose.Gap{Kind: whose.GapProcesses, Cause: whose.CausePermission, Count: 2})
	c.Add(whose.Gap{Kind: whose.GapProcesses, Cause: whose.CausePermission, Count: 3})
	c.Add(whose.Gap{Kind: whose.GapProcesses, Cause: whose.CausePermission}) // how many, nobody knows
	c.Add(whose.Gap{Kind: whose.GapTables, Cause: whose.CauseChanged, Detail: "table changed"})
	want := "partial answer: 5 of 100 processes and some processes could not be looked into (permission denied), " +
		"some tables could not be read in one piece (table changed)"
	if err := c.Err(); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if len(c.Gaps) != 3 || c.Gaps.Count(whose.GapProcesses) != 6 || !c.Gaps.HasCause(whose.CauseChanged) || c.Gaps.HasKind(whose.GapEvents) {
		t.Errorf("gaps %v", c.Gaps)
	}
}

// What helps depends on who asks: nothing is advised that he has already.
func TestGaps_Advise(t *testing.T) {
	const pin = "try sudo, or once: sudo whose pin --group whose (see whose pin --help)"
	refused := func(k whose.GapKind) whose.Gap { return whose.Gap{Kind: k, Cause: whose.CausePermission} }
	processes, namespaces := refused(whose.GapProcesses), refused(whose.GapNamespaces)
	for _, c := range []struct {
		gap  whose.Gap
		who  whose.Caller
		want string
	}{
		{processes, whose.Caller{}, pin},
		{namespaces, whose.Caller{}, pin},
		{processes, whose.Caller{Pinned: true}, "run as root, or with the capability CAP_SYS_PTRACE"},
		{namespaces, whose.Caller{Pinned: true}, "run as root, or with the capabilities CAP_SYS_ADMIN and CAP_SYS_PTRACE"},
		{processes, whose.Caller{Pinned: true, Trace: true}, ""},
		{processes, whose.Caller{Root: true}, "the capability CAP_SYS_PTRACE is missing"},
		{processes, whose.Caller{Root: true, Trace: true}, ""},
		{namespaces, whose.Caller{Root: true, Trace: true}, "the capabilities CAP_SYS_ADMIN and CAP_SYS_PTRACE are missing"},
		{namespaces, whose.Caller{Root: true, Trace: true, Enter: true}, ""},
		{refused(whose.GapSockets), whose.Caller{}, ""},
		{whose.Gap{Kind: whose.GapNamespaces, Cause: whose.CauseLimit}, whose.Caller{}, "raise the limit of open files (ulimit -n)"},
		{whose.Gap{Kind: whose.GapEvents, Cause: whose.CauseLost}, whose.Caller{}, "a narrower filter, or a larger --buffer or --backlog"},
		{whose.Gap{Kind: whose.GapRows, Cause: whose.CauseLimit}, whose.Caller{}, ""},
		{whose.Gap{Kind: whose.GapProcesses, Cause: whose.CausePermission, Hint: "its own"}, whose.Caller{}, "its own"},
	} {
		gaps := whose.Gaps{c.gap}
		gaps.Advise(c.who)
		if got := gaps.Hint(); got != c.want {
			t.Errorf("%v for %+v: %q, want %q", c.gap, c.who, got, c.want)
		}
	}
}

// The form in JSON is that of every output, and reads back.
func TestGap_JSON(t *testing.T) {
	gap := whose.Gap{Kind: whose.GapNamespaces, Cause: whose.CauseFailed, Count: 2, Detail: "read <x>: \"no\"", Hint: "ask"}
	const want = `{"kind":"namespaces","cause":"failed","count":2,"detail":"read <x>: \"no\"",` +
		`"why":"2 network namespaces could not be looked into (read <x>: \"no\")","hint":"ask"}`
	text, err := gap.MarshalJSON()
	if err != nil || string(text) != want {
		t.Errorf("%v\ngot  %s\nwant %s", err, text, want)
	}
	for _, kind := range whose.GapKinds() {
		for _, cause := range whose.Causes() {
			for _, gap := range []whose.Gap{gap, {}} {
				gap.Kind, gap.Cause = kind, cause
				text, err := json.Marshal(gap)
				if err != nil {
					t.Fatal(err)
				}
				var back whose.Gap
				if err := json.Unmarshal(text, &back); err != nil || back != gap {
					t.Errorf("%s reads back as %+v: %v", text, back, err)
				}
			}
		}
	}
	for _, text := range []string{`{"kind":"moons","cause":"lost"}`, `{"kind":"events","cause":""}`, `[]`} {
		if err := json.Unmarshal([]byte(text), &gap); err == nil {
			t.Errorf("%s is read as %v", text, gap)
		}
	}
}
