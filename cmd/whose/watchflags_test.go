package main

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/track"
)

// settled is what the tracker is asked with this command line.
func settled(t *testing.T, args ...string) (*track.Options, error) {
	t.Helper()
	sh := &shell{out: &bytes.Buffer{}, err: &bytes.Buffer{}, getenv: func(string) string { return "" }}
	root := newRoot(sh)
	cmd, rest, err := root.Find(append([]string{"watch"}, args...))
	if err != nil {
		t.Fatal(err)
	}
	// The command's own flags are bound to a watch that only it knows.
	w := &watch{sh: sh}
	cmd.ResetFlags()
	w.addFlags(cmd)
	if err := cmd.ParseFlags(rest); err != nil {
		return nil, flagError(cmd, err)
	}
	return w.settle(cmd, cmd.Flags().Args())
}

func TestWatch_Options(t *testing.T) {
	opts, err := settled(t, "-t", "-6", "-N", "self", "--events", "open, CLOSE", "--udp-idle", "5s", "--source", "bpf",
		"--interval", "2", "--buffer", "16", "--backlog", "1000", "--proc", "/host/proc", "process", "curl")
	if err != nil {
		t.Fatal(err)
	}
	if opts.Protos != whose.SetOf(whose.TCP, whose.MPTCP) || opts.Families != whose.SetOf(whose.IPv6) || opts.NetNS != "self" ||
		opts.Events != whose.SetOf(whose.EventOpen, whose.EventClose) || opts.UDPIdle != 5*time.Second || opts.Source != "bpf" ||
		opts.Interval != 2*time.Second || opts.BufferSize != 16<<20 || opts.MaxEvents != 1000 || opts.Proc != "/host/proc" ||
		opts.Filter == nil || !opts.NoInitial || !opts.Needs.Has(whose.NeedOwners) {
		t.Errorf("asked %+v", opts)
	}
}

// Sessions that stand are counted for a person, and told to a program.
func TestWatch_Initial(t *testing.T) {
	for args, want := range map[string]bool{
		"": true, "-o jsonl": false, "-o jsonl --no-initial": true, "--events standing,open": false, "--events open": true,
		"-o csv": false, "--template {{.event}}": false, "-q -o jsonl": true, "--events standing --no-initial": true,
	} {
		opts, err := settled(t, strings.Fields(args)...)
		if err != nil {
			t.Errorf("%s: %v", args, err)
			continue
		}
		if opts.NoInitial != want {
			t.Errorf("%q: NoInitial is %v", args, opts.NoInitial)
		}
	}
}

func TestWatch_Refuses(t *testing.T) {
	for _, test := range []struct{ args, want, hint string }{
		{"-l", "--listening: an event has no state", "--events listen,unlisten"},
		{"-ta", "--all: an event has no state", "--events standing,open"},
		{"state established", "filter: an event has no state", "--events standing,open"},
		{"nginx and not (udp or listen)", "filter: an event has no state", "listen"},
		{"--events opne", `--events: unknown kind "opne"`, "did you mean open?"},
		{"--events open,", `--events: unknown kind ""`, "the kinds are"},
		{"--events lost,zzzzzz", `--events: unknown kind "zzzzzz"`, "the kinds are"},
		{"-o json", `--output: unknown format "json"`, "did you mean jsonl?"},
		{"-o table", `--output: unknown format "table"`, "text, jsonl, csv, tsv"},
		{"--source procfs", `--source: unknown source "procfs"`, "--source snapshot"},
		{"--source x", `--source: unknown source "x"`, "auto, bpf, netlink, snapshot"},
		{"--fields pid", "--fields: text takes no fields", "jsonl, csv and tsv do"},
		{"-o jsonl --fields pdi", `--fields: unknown field "pdi"`, "pid"},
		{"-o csv --summary", "--summary: only text and jsonl", "-q"},
		{"--top 3", "--top: there are lists with --summary only", ""},
		{"--summary --top 5000", "--top: want a number of lines up to 1000", ""},
		{"--buffer 5000", "--buffer: want up to 1024 MiB", ""},
		{"--interval 1ms", "--interval: want at least 100ms, got 1ms", ""},
		{"--backlog -1", "--backlog: want a number of events", ""},
		{"--template {{.nothing}}", "nothing", ".session"},
		{"--template x -o csv", "exclude each other", ""},
		{"--for soon", "want a time such as", ""},
		{"--evnets open", "unknown flag", "did you mean --events?"},
		{"--color red", "--color: want auto", ""},
	} {
		_, err := settled(t, strings.Fields(test.args)...)
		var usage *usageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), test.want) || !strings.Contains(whose.Hint(err), test.hint) {
			t.Errorf("%s: error %v (%s), want %q (%s)", test.args, err, whose.Hint(err), test.want, test.hint)
		}
	}
}

// What a source misses is told in one line, wherever stderr goes, if it is not
// the best there is.
func TestWatch_Announce(t *testing.T) {
	lesser := track.Source{Name: "netlink", Why: "source bpf: load programs: operation not permitted", Hint: "try sudo", Interval: time.Second,
		Gaps: whose.Gaps{{Kind: whose.GapSessions, Cause: whose.CauseUnsupported, Detail: "those that open and close within 1s"},
			{Kind: whose.GapProcesses, Cause: whose.CausePermission, Count: 12}}}
	for _, test := range []struct {
		source track.Source
		strict bool
		said   string
		code   int
	}{
		{track.Source{Name: "bpf"}, false, "", exitFound},
		{track.Source{Name: "bpf"}, true, "", exitFound},
		{lesser, false, "whose: watching by netlink: 12 processes could not be looked into (permission denied), " +
			"some sessions could not be seen (those that open and close within 1s); source bpf: load programs: operation not permitted; try sudo\n", exitFound},
		{lesser, true, "", exitPartial},
	} {
		var said bytes.Buffer
		w := &watch{sh: &shell{err: &said, getenv: func(string) string { return "" }}}
		w.strict = test.strict
		err := w.announce(&test.source, 5)
		if said.String() != test.said {
			t.Errorf("%s: said %q, want %q", test.source.Name, said.String(), test.said)
		}
		if code := (&shell{err: &bytes.Buffer{}, getenv: os.Getenv}).report(err); code != test.code {
			t.Errorf("%s: %v is exit status %d, want %d", test.source.Name, err, code, test.code)
		}
	}
}
