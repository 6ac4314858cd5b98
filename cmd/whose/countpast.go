package main

import (
	"cmp"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/internal/render"
	"github.com/seed-44df2ae6/whose/internal/tally"
)

// mostSteps bounds the rows of time of --per.
const mostSteps = 10_000

// then counts sessions of the past.
func (c *counting) then(cmd *cobra.Command, opts *collect.Options, by, sums []*whose.Field, shape render.Options) error {
	about, err := c.question.then(opts)
	if err != nil {
		return err
	}
	if c.per > 0 {
		if about.Moment() {
			return usagef("--per: want --from, a moment has no steps")
		}
		if about.To.Sub(about.From)/c.per > mostSteps {
			return usagef("--per: want at most %d steps", mostSteps)
		}
		// The field of an event's time is the column of the steps.
		by = append([]*whose.Field{whose.FieldByName("time")}, by...)
	}
	src, err := c.past.open(c.sh)
	if err != nil {
		return err
	}
	defer src.Close()
	counter := tally.NewCounter(by)
	counter.Sum(sums)
	var step whose.Event
	cov, err := src.Sessions(cmd.Context(), about, func(s *whose.Session) bool {
		row := s.Row()
		if c.per > 0 {
			step.Time = stepOf(s.Life, about.From, about.To, c.per)
			row.Event = &step
		}
		counter.Add(row)
		return true
	})
	if err != nil {
		return err
	}
	if c.per > 0 {
		return c.write(bySteps(counter.Count(0), c.top), &cov, shape)
	}
	return c.write(counter.Count(c.top), &cov, shape)
}

// stepOf returns the beginning of the step in which a session counts: the one in
// which it ended or, if it went on, the last. So each counts once.
func stepOf(l *whose.Lifetime, from, to time.Time, per time.Duration) time.Time {
	last := to.Add(-1)
	if l.Ended() && l.Closed.Before(to) {
		last = l.Closed
	}
	return from.Add(max(last.Sub(from), 0) / per * per)
}

// bySteps orders groups by time, and keeps the largest of each step.
func bySteps(count *tally.Count, top int) *tally.Count {
	slices.SortStableFunc(count.Rows, func(a, b tally.Row) int { return cmp.Compare(a.Values[0].Time.UnixNano(), b.Values[0].Time.UnixNano()) })
	if top == 0 {
		return count
	}
	kept, n := count.Rows[:0], 0
	var step time.Time
	for _, row := range count.Rows {
		if t := row.Values[0].Time; !t.Equal(step) {
			step, n = t, 0
		}
		if n++; n <= top {
			kept = append(kept, row)
		}
	}
	count.Rows = kept
	return count
}
