package main

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/seed-44df2ae6/whose"
)

// flagError is the error of a wrong flag, with a guess at the right one.
func flagError(cmd *cobra.Command, err error) error {
	usage := &usageError{err}
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return usage
	}
	if short := unknown.GetSpecifiedShortnames(); short != "" {
		if hint := fromElsewhere(unknown.GetSpecifiedName(), cmd.Name() == "watch"); hint != "" {
			return whose.WithHint(usage, "%s", hint)
		}
		return whose.WithHint(usage, "%s --help lists the flags", cmd.CommandPath())
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	if name := nearest(unknown.GetSpecifiedName(), names); name != "" {
		return whose.WithHint(usage, "did you mean --%s?", name)
	}
	return whose.WithHint(usage, "%s --help lists the flags", cmd.CommandPath())
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
	case "i", "m":
		return "what TCP measures: --fields +rtt,+retrans,+cong,+cwnd"
	case "s":
		return "for a summary: whose count"
	case "x", "w", "0":
		return "whose lists TCP and UDP only"
	case "P":
		return "ports are always numbers, unless --resolve is given"
	case "c":
		return "to see it change: whose watch, or --watch 2s"
	case "r":
		return "for names of remote hosts: --resolve"
	}
	return ""
}

// unknownFormat is the error of an -o with an unknown value.
func unknownFormat(got string, known ...string) error {
	err := usagef("--output: unknown format %q", got)
	if name := nearest(got, known); name != "" {
		return whose.WithHint(err, "did you mean %s? The formats are %s", name, strings.Join(known, ", "))
	}
	return whose.WithHint(err, "the formats are %s", strings.Join(known, ", "))
}

// fieldNames returns every name of every field.
func fieldNames() []string {
	var names []string
	for _, f := range whose.Fields() {
		names = append(append(names, f.Name), f.Aliases...)
	}
	return names
}

// fieldByName finds a field named in a flag.
func fieldByName(flag, name string) (*whose.Field, error) {
	f := whose.FieldByName(name)
	switch {
	case f != nil && f.Of == whose.OfEvent:
		return nil, whose.WithHint(usagef("--%s: %s is a fact of events, not of sessions", flag, f.Name), "every line of whose watch has it")
	case f != nil:
		return f, nil
	}
	err := usagef("--%s: unknown field %q", flag, name)
	if name == "" {
		return nil, whose.WithHint(usagef("--%s: a name is missing", flag), "whose fields lists them")
	}
	if near := nearest(name, fieldNames()); near != "" {
		return nil, whose.WithHint(err, "did you mean %q?", near)
	}
	return nil, whose.WithHint(err, "whose fields lists them")
}
