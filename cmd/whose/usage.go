package main

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/internal/ask"
	"github.com/seed-44df2ae6/whose/internal/render"
)

// flagError is the error of a wrong flag, with a guess at the right one.
func flagError(cmd *cobra.Command, err error) error {
	usage := &usageError{err}
	var unknown *pflag.NotExistError
	var bare *pflag.ValueRequiredError
	lists := cmd.CommandPath() + " --help lists the flags"
	if !cmd.HasParent() {
		lists = "whose help flags lists the flags"
	}
	switch {
	case errors.As(err, &bare) && bare.GetSpecifiedName() == "o":
		return whose.WithHint(usage, "-o takes a format: %s", strings.Join(outputFormats(), ", "))
	case !errors.As(err, &unknown):
		return usage
	case unknown.GetSpecifiedShortnames() != "":
		return whose.WithHint(usage, "%s", cmp.Or(fromElsewhere(unknown.GetSpecifiedName(), cmd.Name() == "watch"), lists))
	}
	return whose.WithHint(usage, "%s", cmp.Or(longElsewhere(cmd, unknown.GetSpecifiedName()), lists))
}

// longElsewhere returns the answer to a long flag that does not exist: the word of
// the filter, the command or the format that is called so, else the nearest flag.
func longElsewhere(cmd *cobra.Command, name string) string {
	word := strings.ReplaceAll(strings.ToLower(name), "-", "_")
	switch f := whose.FieldByName(word); {
	case f != nil && f.Kind == whose.KindBool:
		return "a field is a word of the filter: whose " + f.Name
	case f != nil:
		return "a field is a word of the filter: whose " + word + " " + exampleValue(f)
	case word == "port", word == "addr":
		return "a field is a word of the filter: whose " + word + " " + map[string]string{"port": "443", "addr": "10.0.0.1"}[word]
	case slices.Contains(subcommandNames(), name):
		return "a command has no dashes: whose " + name
	case slices.Contains(render.Formats(), name):
		return "a format is chosen by -o: -o " + name
	case filter.IsWord(word):
		return "it is a word of the filter: whose " + word
	}
	if says := longFlagsOfOthers()[word]; says != "" {
		return says
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	if near := ask.Nearest(name, names); near != "" {
		return "did you mean --" + near + "?"
	}
	return ""
}

// longFlagsOfOthers are long flags of ss, netstat and tools like them, and their
// equivalent here.
var longFlagsOfOthers = sync.OnceValue(func() map[string]string {
	tcpInfo, redrawn, chosen := fromElsewhere("i", false), "to see it change: whose watch or --watch 2s", "a format is chosen by -o: -o jsonl"
	return map[string]string{
		"info": tcpInfo, "memory": tcpInfo, "statistics": tcpInfo, "options": "timers: --fields +timer,timer_left,timer_retrans",
		"timers": "timers: --fields +timer,timer_left,timer_retrans", "extended": "more columns: -o wide", "verbose": "more columns: -o wide",
		"summary": "for a summary: whose count", "events": fromElsewhere("E", false), "query": fromElsewhere("A", false), "socket": fromElsewhere("A", false),
		"oneline": "each session is a line anyway; nothing is shortened in a pipe", "program": "owners are shown anyway", "programs": "owners are shown anyway",
		"interval": redrawn, "follow": redrawn, "continuous": redrawn, "refresh": redrawn, "format": chosen, "out": chosen,
		"no_color": "--color never", "no_colour": "--color never", "cgroup": "the unit and the container of a process: --fields +unit,container",
		"filter": "the filter is the words beside the flags: whose :443",
		"top":    "the largest groups: whose count --top 10; a view: whose --watch 2s",
	}
})

// exampleValues are values of the fields that are often tried as a flag.
var exampleValues = sync.OnceValue(func() map[string]string {
	return map[string]string{
		"pid": "812", "peer_pid": "812", "parent": "1", "comm": "nginx", "peer_comm": "nginx", "user": "root", "owner_user": "root",
		"uid": "0", "unit": "nginx.service", "exe": "/usr/sbin/nginx", "netns": "self",
	}
})

// exampleValue returns a value that a field may have, for a hint.
func exampleValue(f *whose.Field) string {
	switch f.Kind {
	case whose.KindName:
		return strings.ToLower(f.Values[0])
	case whose.KindPort:
		return "443"
	case whose.KindAddr:
		return "10.0.0.1"
	case whose.KindHex:
		return "8c2f0a6d51e7b394"
	}
	if v := exampleValues()[f.Name]; v != "" {
		return v
	}
	return "VALUE"
}

// fromElsewhere returns the equivalent of a flag of ss, lsof or netstat with no
// meaning, or another one, here. For whose watch some differ.
func fromElsewhere(short string, watch bool) string {
	switch {
	case watch && short == "s":
		return "for a summary: --summary"
	case watch && short == "c":
		return "it goes on by itself; --for 30s ends it after that time"
	}
	switch short {
	case "i", "m", "T":
		return "what TCP measures: --fields +rtt,+retrans,+cwnd; a port: whose :443"
	case "s":
		return "for a summary: whose count; for a state: whose state listen"
	case "x", "w", "0", "U":
		return "whose lists TCP and UDP only"
	case "c":
		return "to see it change: whose watch or --watch 2s; a process: whose NAME"
	case "r":
		return "names of remote hosts: --resolve; to see it change: --watch 2s"
	case "v":
		return "owners are shown anyway; more columns: -o wide; version: -V"
	case "k", "K":
		return "to end sessions: whose kill FILTER"
	case "W", "O":
		return "more columns: -o wide; for a program: -o tsv"
	case "E":
		return "sessions as they close: whose watch"
	case "F":
		return "for a program: -o jsonl, or --fields NAME,…"
	case "M":
		return "MPTCP is a word of the filter: whose mptcp"
	case "f", "A":
		return "families are -4 and -6, protocols -t and -u"
	case "d":
		return "descriptors are a field: whose fd 3"
	case "R":
		return "parents of owners: --fields +parent"
	case "B":
		return "what is bound and no more: whose state close"
	}
	return ""
}

// unknownFormat is the error of an -o with an unknown value.
func unknownFormat(got string, known ...string) error {
	return flagMistake(ask.Format("output", got, known...))
}

// fieldByName finds a field named in a flag.
func fieldByName(flag, name string) (*whose.Field, error) {
	f, err := ask.Field(flag, name)
	return f, flagMistake(err)
}

// flagMistake makes a mistake in the value of a parameter one in that of a flag.
func flagMistake(err error) error {
	var m *ask.ParamError
	if !errors.As(err, &m) {
		return err
	}
	usage := usagef("--%s: %w", m.Param, m.Err)
	if hint := whose.Hint(err); hint != "" {
		return whose.WithHint(usage, "%s", hint)
	}
	return usage
}
