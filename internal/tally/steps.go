package tally

import (
	"maps"
	"slices"
	"time"

	"github.com/seed-44df2ae6/whose"
)

// MostSteps bounds the steps of time of a count.
const MostSteps = 10_000

// Steps counts sessions of a span of time, in steps. Get one from [NewSteps].
type Steps struct {
	counter  *Counter
	from, to time.Time
	per      time.Duration
	event    whose.Event
}

// NewSteps returns an empty count by fields, with sums, of a span of time, in steps of
// per; 0 for none. The first field of the result is then that of an event's time,
// which is the column of the steps.
func NewSteps(by, sums []*whose.Field, from, to time.Time, per time.Duration) *Steps {
	if per > 0 {
		by = append([]*whose.Field{whose.FieldByName("time")}, by...)
	}
	s := &Steps{counter: NewCounter(by), from: from, to: to, per: per}
	s.counter.Sum(sums)
	return s
}

// Add counts one session: in the step in which it ended or, if it went on, in the
// last one. So each counts once.
func (s *Steps) Add(session *whose.Session) { s.AddMany(session, 1) }

// AddMany counts n sessions of one step at once, with the facts of session. Its
// numbers are the sums of theirs.
func (s *Steps) AddMany(session *whose.Session, n int) {
	row := session.Row()
	if s.per > 0 {
		s.event.Time = stepOf(session.Life, s.from, s.to, s.per)
		row.Event = &s.event
	}
	s.counter.AddMany(row, n)
}

// Count returns the groups, the top largest ones, in steps those of each; 0 for all.
func (s *Steps) Count(top int) *Count {
	if s.per == 0 {
		return s.counter.Count(top)
	}
	count := s.counter.empty()
	return bySteps(count, s.counter.all(), top)
}

// stepOf returns the beginning of the step of a session.
func stepOf(l *whose.Lifetime, from, to time.Time, per time.Duration) time.Time {
	last := to.Add(-1)
	if l != nil && l.Ended() && l.Closed.Before(to) {
		last = l.Closed
	}
	return from.Add(max(last.Sub(from), 0) / per * per)
}

// bySteps orders groups, the largest first, by time, and keeps the largest of each
// step.
func bySteps(count *Count, rows []Row, top int) *Count {
	count.Rows = make([]Row, 0)
	steps := make(map[int64][]Row)
	for _, row := range rows {
		at := row.Values[0].Time.UnixNano()
		steps[at] = append(steps[at], row)
	}
	for _, at := range slices.Sorted(maps.Keys(steps)) {
		some, _ := largest(steps[at], top, count.compare)
		count.Rows = append(count.Rows, some...)
	}
	return count
}
