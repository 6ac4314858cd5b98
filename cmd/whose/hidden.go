package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
)

// hidden says in one line what an answer does not show and what can be done,
// "" where it is whole:
//
//	12 of 340 processes could not be looked into (permission denied); try sudo
func hidden(c *whose.Coverage) string { return hiddenFrom(c, os.Geteuid()) }

// hiddenFrom is hidden for the caller of that user id.
func hiddenFrom(c *whose.Coverage, euid int) string {
	if c == nil || len(c.Gaps) == 0 {
		return ""
	}
	text := gapsText(c)
	if hint := hintOf(c, euid); hint != "" {
		text += "; " + hint
	}
	return text
}

// gapsText says all gaps, without what can be done. Those for want of permission
// are said as one: that there are several ways to be refused is of no use to
// the one who reads it.
func gapsText(c *whose.Coverage) string {
	var refused, parts []string
	namespaces, unknown := 0, false
	for _, g := range c.Gaps {
		switch {
		case !isRefusal(g):
			parts = append(parts, gapText(c, g))
		case g.Kind == whose.GapProcesses:
			refused = append(refused, processesText(c, g))
		default:
			namespaces += g.Count
			unknown = unknown || g.Count == 0
		}
	}
	switch {
	case namespaces > 0 && unknown:
		refused = append(refused, fmt.Sprintf("%d or more network namespaces", namespaces))
	case namespaces > 0 || unknown:
		refused = append(refused, many(namespaces, "network namespace", "network namespaces"))
	}
	if len(refused) > 0 {
		text := strings.Join(refused, " and ") + " could not be looked into (" + fs.ErrPermission.Error() + ")"
		parts = append([]string{text}, parts...)
	}
	return strings.Join(parts, ", ")
}

// isRefusal reports whether processes or namespaces are missing for want of permission.
func isRefusal(g whose.Gap) bool {
	return (g.Kind == whose.GapProcesses || g.Kind == whose.GapNamespaces) &&
		(strings.HasSuffix(g.Why, "permission denied") || strings.HasSuffix(g.Why, "operation not permitted"))
}

func processesText(c *whose.Coverage, g whose.Gap) string {
	if g.Count > 0 && c.Processes > 0 {
		return fmt.Sprintf("%d of %s", g.Count, plural(g.Count+c.Processes, "process", "processes"))
	}
	return many(g.Count, "process", "processes")
}

// gapText says one gap.
func gapText(c *whose.Coverage, g whose.Gap) string {
	switch g.Kind {
	case whose.GapProcesses:
		return fmt.Sprintf("%s could not be looked into (%s)", processesText(c, g), g.Why)
	case whose.GapNamespaces:
		return fmt.Sprintf("%s could not be looked into (%s)",
			many(g.Count, "network namespace", "network namespaces"), g.Why)
	case whose.GapInterrupted:
		return fmt.Sprintf("%s changed while being read (%s)", many(g.Count, "table", "tables"), g.Why)
	case whose.GapSockets:
		return fmt.Sprintf("%s could not be read (%s)", many(g.Count, "socket", "sockets"), g.Why)
	case whose.GapDeadline:
		return fmt.Sprintf("the time allowed ran out (%s)", g.Why)
	}
	return g.String()
}

// hintOf says what can be done about the gaps: for one who is not root what
// gives the most for the least, else the first hint of the collector.
func hintOf(c *whose.Coverage, euid int) string {
	for _, g := range c.Gaps {
		if isRefusal(g) && euid > 0 && !c.Pinned {
			return "try sudo, or once: sudo whose pin --group whose (see whose pin --help)"
		}
		if g.Hint != "" {
			return g.Hint
		}
	}
	return ""
}

// A partialError is a *whose.PartialError that is said as the remark is.
type partialError struct {
	text string
	err  error
}

// Error is the text.
func (e *partialError) Error() string { return "partial answer: " + e.text }

// Unwrap returns the gaps.
func (e *partialError) Unwrap() error { return e.err }

// plural is a number with its noun.
func plural(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

// many is as plural, for a number that may not be known.
func many(n int, one, more string) string {
	if n == 0 {
		return "some " + more
	}
	return plural(n, one, more)
}

// collectError is the error of a collector or tracker; a mistake of the caller in it is
// one on the command line.
func collectError(err error) error {
	if errors.Is(err, collect.ErrNoField) || errors.Is(err, collect.ErrNoSource) {
		return &usageError{err}
	}
	return err
}
