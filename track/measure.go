package track

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/source"
	"github.com/seed-44df2ae6/whose/track/internal/ledger"
)

// Measure returns the sessions of the live table that have another side, in no order,
// with their traffic by now. Life holds the bytes since the session opened and, as its
// Duration, the time since then, as far as it was followed. A UDP flow that stood before
// is counted since the tracker began. Where Life.Counted is false the traffic is
// unknown: of MPTCP, of UDP without the source BPF, and of sessions that a snapshot
// does not see. The counters of TCP come by a snapshot without owners, those of UDP from
// the programs. Gaps say what could not be read until ctx ended; the sessions come all
// the same.
func (t *Tracker) Measure(ctx context.Context) ([]whose.Session, whose.Gaps) {
	each, gaps := t.MeasureEach(ctx)
	var all []whose.Session
	for s := range each {
		own, life := *s, *s.Life
		own.Life = &life
		all = append(all, own)
	}
	return all, gaps
}

// MeasureEach reads the counters as [Tracker.Measure] does and returns the sessions one
// by one, to be read once and soon: one is valid until the next, but for its lists. Following stands still
// meanwhile.
func (t *Tracker) MeasureEach(ctx context.Context) (iter.Seq[*whose.Session], whose.Gaps) {
	var gaps whose.Gaps
	note := func(err error) {
		if err != nil {
			gaps.Add(source.GapOf(whose.GapTraffic, 0, err))
		}
	}
	seen, err := t.figures(ctx)
	note(err)
	defer seen.close()
	flows, err := t.flows()
	note(err)
	all := err == nil && t.Source().Name == SourceBPF
	note(t.catchUp(ctx, bootNanos(t.clock.Boot())))
	t.mu.Lock()
	defer t.mu.Unlock()
	m := t.engine.Measured(seen.each, flows, bootNanos(t.clock.Boot()))
	m.AllFlows = all
	return func(yield func(*whose.Session) bool) {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.engine.Measure(m, bootNanos(t.clock.Boot()), yield)
	}, gaps
}

// figures takes a snapshot of the figures of TCP, empty after an error.
func (t *Tracker) figures(ctx context.Context) (*sight, error) {
	opts := t.plan.measureOptions(t.Source().Name == SourceBPF)
	if opts.Protos == 0 {
		return sightOf(nil), nil
	}
	answer, err := t.collector.Collect(ctx, opts)
	var unknown *whose.UnknownError
	if errors.As(err, &unknown) {
		return sightOf(nil), nil // the namespace asked for has gone
	}
	if err != nil {
		return sightOf(nil), err
	}
	return t.sight(answer, false), nil
}

// flows reads the UDP flows that the kernel counts.
func (t *Tracker) flows() (all []ledger.Flow, err error) {
	if t.kernel == nil {
		return nil, nil
	}
	err = t.kernel.Flows(func(f *ledger.Flow) bool {
		all = append(all, *f)
		return false
	}, func(*ledger.Flow) {})
	return all, err
}

// catchUp waits until the records up to a moment by the boot clock are in the table.
func (t *Tracker) catchUp(ctx context.Context, moment uint64) error {
	for t.looks && t.lookedUntil.Load() < moment {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.clock.After(time.Millisecond):
		}
	}
	return nil
}
