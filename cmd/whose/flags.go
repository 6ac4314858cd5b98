package main

import (
	"errors"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// A flagGroup defines flags shown together in --help and the man page.
type flagGroup struct {
	set  *pflag.FlagSet
	name string
}

// The groups, in the order of --help.
const (
	groupWhich  = "Which sessions"
	groupShow   = "How they are shown"
	groupHow    = "How they are collected"
	groupThen   = "The past"
	groupServe  = "Who may ask it"
	groupExport = "Where it sends what happens"
	groupFleet  = "Where the fleet is"
	groupOther  = "Other"
)

// Annotations of a flag: its group, and the word for its value.
const (
	annotationGroup = "group"
	annotationValue = "value"
)

// valueDir is the word for a directory.
const valueDir = "DIR"

func (g flagGroup) boolean(p *bool, name, short, usage string) {
	g.set.BoolVarP(p, name, short, false, usage)
	g.mark(name, "")
}

func (g flagGroup) text(p *string, name, short, preset, value, usage string) {
	g.set.StringVarP(p, name, short, preset, usage)
	g.mark(name, value)
}

func (g flagGroup) number(p *int, name, short, value, usage string) {
	g.set.IntVarP(p, name, short, 0, usage)
	g.mark(name, value)
}

func (g flagGroup) days(p *int, name string, preset int, usage string) {
	g.set.IntVarP(p, name, "", preset, usage)
	g.mark(name, "N")
}

func (g flagGroup) duration(p *time.Duration, name, short string, preset time.Duration, usage string) {
	*p = preset
	g.set.VarP((*seconds)(p), name, short, usage)
	g.mark(name, "TIME")
}

// mark notes group and value, and keeps the flags in the order of their
// definition.
func (g flagGroup) mark(name, value string) {
	g.set.SortFlags = false
	f := g.set.Lookup(name)
	f.Annotations = map[string][]string{annotationGroup: {g.name}}
	if value != "" {
		f.Annotations[annotationValue] = []string{value}
	}
	if value == valueDir {
		f.Annotations[cobra.BashCompSubdirsInDir] = nil // completes it, in every shell
	}
}

// seconds is a flag for a span of time. A bare number means seconds.
type seconds time.Duration

// The errors of a time.
var (
	errTime   = errors.New("want a time such as 500ms, 2s or 1m")
	errNoTime = errors.New("want a time above zero, such as 500ms, 2s or 1m")
)

// Set parses "2s", "500ms" or "2".
func (s *seconds) Set(text string) error {
	d, err := time.ParseDuration(text)
	if n, bad := strconv.ParseFloat(text, 64); bad == nil {
		d, err = time.ParseDuration(strconv.FormatFloat(n, 'f', -1, 64) + "s")
	}
	switch {
	case err != nil:
		return errTime
	case d <= 0:
		return errNoTime
	}
	*s = seconds(d)
	return nil
}

// String returns the time in a form for the command line, empty for none.
func (s *seconds) String() string {
	if *s == 0 {
		return ""
	}
	return time.Duration(*s).String()
}

// Type is the word for the value in --help.
func (s *seconds) Type() string { return "TIME" }
