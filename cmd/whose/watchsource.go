package main

import (
	"fmt"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/track"
)

// announce names the source and its gaps, once and on any stderr: they are facts
// about all events. A person also gets the number of standing sessions.
func (w *watch) announce(s *track.Source, standing int) error {
	lacks := missed(s)
	switch {
	case w.strict && lacks != "":
		var err error = &whose.PartialError{Gaps: s.Gaps}
		if s.Why != "" {
			err = fmt.Errorf("%w; %s", err, s.Why)
		}
		return whose.WithHint(err, "%s", s.Hint)
	case s.Why != "":
		text := fmt.Sprintf("watching by %s: %s", s.Name, lacks)
		if s.Hint != "" {
			text += "; " + s.Hint
		}
		w.sh.say("%s", text)
	case lacks != "" && !w.quiet:
		w.sh.say("watching by %s: %s", s.Name, lacks)
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

// standingText gives the number of standing sessions in the question.
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

// missed lists the gaps of a source, and the reason for no better one, ""
// without gaps.
func missed(s *track.Source) string {
	text := s.Gaps.String()
	if text != "" && s.Why != "" {
		text += "; "
	}
	return text + s.Why
}
