package main

import (
	"context"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/spool"
	"github.com/seed-44df2ae6/whose/internal/tally"
	"github.com/seed-44df2ae6/whose/track"
)

// This file knows what went over sessions while they were watched, for --summary.

// A measurer returns the sessions that stand now, with their traffic.
type measurer func(context.Context) ([]whose.Session, whose.Gaps)

// measureTime is the time for a measurement.
const measureTime = 3 * time.Second

// sum prepares the summary. The traffic of sessions needs their figures at the
// beginning, and their closes.
func (w *watch) sum(opts *track.Options) {
	w.sums, w.began = tally.NewEvents(w.top), time.Now()
	w.sums.Past = w.past.asked()
	w.sums.NoTraffic = w.kinds != 0 && !w.kinds.Has(whose.EventClose)
	opts.Needs |= whose.NeedOwners | whose.NeedDirection
	if w.sums.NoTraffic {
		return
	}
	if opts.Traffic = true; opts.Events != 0 {
		opts.Events |= whose.SetOf(whose.EventStanding)
	}
	opts.NoInitial = false
}

// hidden reports whether events of the kind come for the traffic alone.
func (w *watch) hidden(k whose.EventKind) bool {
	if k != whose.EventStanding || w.sums == nil || w.sums.NoTraffic {
		return false
	}
	return w.noInitial || w.initialCounted() || w.kinds != 0 && !w.kinds.Has(k)
}

// ending returns what to do when the time is over. Where sessions are to be measured,
// the tracker has to go on until then.
func (w *watch) ending(t eventStream, over func()) func() {
	if w.sums != nil {
		return over
	}
	return func() { _ = t.Close() } // the next Close returns its error again
}

// rest measures the sessions that stand, and reads the events until then, for the
// summary. Of a stopped stream events are unread.
func (w *watch) rest(signals context.Context, stopped bool, t eventStream, out *spool.Spool) error {
	ctx, limit := signals, time.Duration(0)
	if signals.Err() != nil { // another Ctrl-C ends it at once
		ctx, limit = context.Background(), patience
	}
	w.measure(ctx)
	if !stopped {
		return nil
	}
	go func() { _ = t.Close() }() // ends the stream; run closes it too
	if limit > 0 {
		within, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		ctx = within
	}
	return w.feed(ctx, ctx, t, out)
}

// measure gives the summary the sessions that stand, with their traffic.
func (w *watch) measure(ctx context.Context) {
	if w.measurer == nil || w.sums.NoTraffic {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, measureTime)
	defer cancel()
	slow := time.AfterFunc(patience, func() { w.sh.remark("asking for the traffic of open sessions, %v at most", measureTime) })
	defer slow.Stop()
	began := time.Now()
	sessions, gaps := w.measurer(ctx)
	w.unmeasured = gaps
	for i := range sessions {
		w.sums.Measured(&sessions[i], began)
	}
}

// uncounted is the gap of the sessions with unknown traffic.
func (w *watch) uncounted(s *tally.Summary) whose.Gaps {
	if s.Uncounted == 0 {
		return nil
	}
	g := whose.Gap{Kind: whose.GapTraffic, Cause: whose.CauseUnsupported, Detail: "the source does not count their bytes"}
	switch {
	case w.sums.Past:
		g.Detail = "the history has the bytes of a whole session, at its end"
	case len(w.unmeasured) > 0:
		g = w.unmeasured[0]
	}
	g.Count = s.Uncounted
	return whose.Gaps{g}
}
