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
func hidden(c *whose.Coverage) string {
	if c == nil || len(c.Gaps) == 0 {
		return ""
	}
	text := gapsText(c)
	if hint := hintOf(c); hint != "" {
		text += "; " + hint
	}
	return text
}

// gapsText says all gaps, without what can be done.
func gapsText(c *whose.Coverage) string {
	parts := make([]string, len(c.Gaps))
	for i, g := range c.Gaps {
		parts[i] = gapText(c, g)
	}
	return strings.Join(parts, ", ")
}

// gapText says one gap.
func gapText(c *whose.Coverage, g whose.Gap) string {
	switch g.Kind {
	case whose.GapProcesses:
		if g.Count > 0 && c.Processes > 0 {
			return fmt.Sprintf("%d of %s could not be looked into (%s)",
				g.Count, plural(g.Count+c.Processes, "process", "processes"), g.Why)
		}
		return fmt.Sprintf("%s could not be looked into (%s)", many(g.Count, "process", "processes"), g.Why)
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
func hintOf(c *whose.Coverage) string {
	for _, g := range c.Gaps {
		if g.Why == fs.ErrPermission.Error() && os.Geteuid() > 0 && !c.Pinned {
			return "try sudo, or once: sudo whose pin --group whose (see whose pin --help)"
		}
		if g.Hint != "" {
			return g.Hint
		}
	}
	return ""
}

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

// A collectFailure marks an error as the collector's, not the writer's.
type collectFailure struct{ error }

// Unwrap returns the cause.
func (e collectFailure) Unwrap() error { return e.error }

// collectError is the error of a collection; a mistake of the caller in it is
// one on the command line.
func collectError(err error) error {
	if errors.Is(err, collect.ErrNoField) || errors.Is(err, collect.ErrNoSource) {
		return &usageError{err}
	}
	return collectFailure{err}
}

func isCollectError(err error) bool {
	var failure collectFailure
	var usage *usageError
	return errors.As(err, &failure) || errors.As(err, &usage)
}
