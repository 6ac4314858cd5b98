package main

import (
	"fmt"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/track"
)

// announce says by which source it is watched and what that one misses. To a
// person it also says how many sessions stand; a lesser source than the best
// is told wherever stderr goes, once: it is a fact about all that follows.
func (f *follow) announce(s *track.Source, standing int) error {
	missed := f.missed(s)
	switch {
	case f.strict && missed != "":
		gaps := s.Gaps
		if len(gaps) == 0 {
			gaps = []whose.Gap{{Kind: "events", Why: missed}}
		}
		return whose.WithHint(&partialError{missed, &whose.PartialError{Gaps: gaps}}, "%s", s.Hint)
	case s.Why != "":
		text := fmt.Sprintf("watching by %s: %s", s.Name, missed)
		if s.Hint != "" {
			text += "; " + s.Hint
		}
		fmt.Fprintf(f.sh.err, "whose: %s\n", printable(text))
	case missed != "":
		f.sh.remark("watching by %s: %s", s.Name, missed)
	}
	if f.quiet {
		return nil
	}
	if f.initialCounted() && !f.noInitial {
		there := "no session stands yet"
		if standing > 0 {
			there = plural(standing, "session stands", "sessions stand") + " already"
		}
		f.sh.remark("%s; what comes now is shown until Ctrl-C (%s)", there, s.Name)
	}
	return nil
}

// missed says what a source does not see, and why there is no better, "" if
// nothing is missed.
func (f *follow) missed(s *track.Source) string {
	text := s.Why
	add := func(more string) {
		if text != "" && more != "" {
			text += "; "
		}
		text += more
	}
	for _, g := range s.Gaps {
		if g.Kind == whose.GapSockets || g.Kind == "" {
			add(g.Why) // it says what is not seen, and how much that is nobody can know
			continue
		}
		add(gapsText(&whose.Coverage{Gaps: []whose.Gap{g}}))
	}
	return text
}
