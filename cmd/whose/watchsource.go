package main

import (
	"fmt"
	"strings"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/track"
)

// announce says by which source it is watched and what that one misses. To a
// person it also says how many sessions stand; a lesser source than the best
// is told wherever stderr goes, once: it is a fact about all that follows.
func (w *watch) announce(s *track.Source, standing int) error {
	lacks := missed(s)
	switch {
	case w.strict && lacks != "":
		gaps := s.Gaps
		if len(gaps) == 0 {
			gaps = []whose.Gap{{Kind: "events", Why: lacks}}
		}
		return whose.WithHint(&partialError{lacks, &whose.PartialError{Gaps: gaps}}, "%s", s.Hint)
	case s.Why != "":
		text := fmt.Sprintf("watching by %s: %s", s.Name, lacks)
		if s.Hint != "" {
			text += "; " + s.Hint
		}
		w.sh.say("%s", text)
	case lacks != "":
		w.sh.remark("watching by %s: %s", s.Name, lacks)
	}
	if w.quiet {
		return nil
	}
	if w.initialCounted() && !w.noInitial {
		until := "until Ctrl-C"
		if w.length > 0 {
			until = "for " + w.length.String()
		}
		w.sh.remark("%s; what comes now is shown %s (%s)", w.standingText(standing), until, s.Name)
	}
	return nil
}

// standingText says how many sessions stand of those that are asked for.
func (w *watch) standingText(n int) string {
	switch {
	case n == 0 && w.typed == "":
		return "no session stands yet"
	case n == 0:
		return "no session that matches stands yet"
	case w.typed == "":
		return plural(n, "session stands", "sessions stand") + " already"
	}
	return plural(n, "session that matches stands", "sessions that match stand") + " already"
}

// missed says what a source does not see, and why there is no better, "" if
// nothing is missed.
func missed(s *track.Source) string {
	var parts []string
	var refused []whose.Gap
	for _, g := range s.Gaps {
		if g.Kind == whose.GapSockets {
			parts = append(parts, g.Why) // which they are; how many, nobody can know
		} else {
			refused = append(refused, g)
		}
	}
	if len(refused) > 0 {
		parts = append(parts, gapsText(&whose.Coverage{Gaps: refused}))
	}
	if s.Why != "" {
		parts = append(parts, s.Why)
	}
	return strings.Join(parts, "; ")
}
