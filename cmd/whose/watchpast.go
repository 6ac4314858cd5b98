package main

import (
	"context"
	"os/signal"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/history"
	"github.com/seed-44df2ae6/whose/internal/source"
	"github.com/seed-44df2ae6/whose/track"
)

// then shows the events of the past, and with --follow those after it.
func (w *watch) then(cmd *cobra.Command, opts *track.Options) error {
	about, err := w.past.query()
	if err != nil {
		return err
	}
	if w.follow && w.past.to != "" {
		return usagef("--follow: --to is an end, and --follow has none")
	}
	about.Filter, about.Protos, about.Families = opts.Filter, opts.Protos, opts.Families
	about.Env = filter.Env{SelfNetNS: ownNetNS(), Now: w.past.now}
	if about.NetNS, err = pastNetNS(opts.NetNS, about.Env.SelfNetNS); err != nil {
		return err
	}
	if about.Kinds = opts.Events; opts.NoInitial { // with --summary they are asked for
		about.Kinds = about.Complete().Kinds &^ whose.SetOf(whose.EventStanding)
	}
	src, err := w.past.open(w.sh)
	if err != nil {
		return err
	}
	defer src.Close()
	ctx, stop := signal.NotifyContext(cmd.Context(), stopSignals()...)
	defer stop()
	w.by, w.took = "history", about.To.Sub(about.From)
	if w.names != nil {
		defer w.names.Close()
	}
	stream := &pastStream{src: src, about: about, follow: w.follow, gaps: w.missing, again: again{sh: w.sh, socket: w.past.socket}}
	w.measurer = stream.standing
	return w.show(ctx, stop, w.named(stream))
}

// missing takes the gaps of an answer. Lost events have lines of their own.
func (w *watch) missing(gaps whose.Gaps) {
	gaps = slices.DeleteFunc(slices.Clone(gaps), func(g whose.Gap) bool { return g.Kind == whose.GapEvents })
	if len(gaps) == 0 {
		return
	}
	w.unseen.Add(gaps...)
	w.sh.say("%s", gaps.String())
}

// A pastStream is the stream of events of the past.
type pastStream struct {
	src    history.Source
	about  history.Query
	follow bool
	gaps   func(whose.Gaps)
	again  again
}

const (
	// followEvery is the time between two looks at a history that is written.
	followEvery = time.Second
	// followBehind is how long an event may take until it is in the history: it waits
	// for its order or for the process that accepts it, then for two commits.
	followBehind = 5 * time.Second
)

// Each calls fn for each event, as a tracker does.
func (p *pastStream) Each(ctx context.Context, fn func(*whose.Event) bool) error {
	more := true
	report := func(e *whose.Event) bool { more = fn(e); return more }
	for ; ; p.next() {
		if p.follow {
			until, err := p.until(ctx)
			if err != nil {
				return stopped(ctx, err)
			}
			p.about.To = until.Add(-followBehind)
		}
		if p.about.From.Before(p.about.To) {
			cov, err := p.events(ctx, report)
			if err != nil {
				return stopped(ctx, err)
			}
			p.gaps(cov.Gaps)
		}
		if !p.follow || !more {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(followEvery):
		}
	}
}

// until asks how far the history goes. An agent that was there is waited for.
func (p *pastStream) until(ctx context.Context) (time.Time, error) {
	for {
		until, err := p.src.Until(ctx)
		if err == nil {
			p.again.answered()
			return until, nil
		}
		if ctx.Err() != nil || !p.again.wait(ctx, err) {
			return until, err
		}
	}
}

// events reports the events of the question, each once, though an agent that is followed
// breaks its answer off: the next one begins with those that were there.
func (p *pastStream) events(ctx context.Context, report func(*whose.Event) bool) (whose.Coverage, error) {
	had := 0
	for {
		skip := had
		cov, err := p.src.Events(ctx, &p.about, func(e *whose.Event) bool {
			if skip > 0 {
				skip--
				return true
			}
			had++
			return report(e)
		})
		if err == nil || !p.follow || ctx.Err() != nil || !p.again.wait(ctx, err) {
			return cov, err
		}
		if _, err := p.until(ctx); err != nil {
			return cov, err
		}
	}
}

// next makes the question about the events since.
func (p *pastStream) next() {
	if p.about.From.Before(p.about.To) {
		p.about.From = p.about.To
		p.about.Kinds = p.about.Complete().Kinds &^ whose.SetOf(whose.EventStanding)
	}
}

// standing returns the sessions that stood at the end. Their traffic by then is
// unknown.
func (p *pastStream) standing(ctx context.Context) (sessions []whose.Session, gaps whose.Gaps) {
	about := p.about
	about.From, about.Kinds = about.To, 0
	_, err := p.src.Sessions(ctx, &about, func(s *whose.Session) bool {
		sessions = append(sessions, history.Keep(s))
		return true
	})
	if err != nil {
		gaps.Add(source.GapOf(whose.GapTraffic, 0, err))
	}
	return sessions, gaps
}

// stopped is the error of a stream, nil if it was stopped.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// Close does nothing: the source is closed by its opener.
func (p *pastStream) Close() error { return nil }
