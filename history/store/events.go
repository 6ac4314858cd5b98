package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/history"
)

// windowSize is the number of entries about which events are put in order at once.
const windowSize = 1 << 16

// Events answers a question about events.
func (r *Reader) Events(ctx context.Context, q *history.Query, fn func(*whose.Event) bool) (whose.Coverage, error) {
	began := time.Now()
	cov := newCoverage()
	a, parts, err := r.open(ctx, q, &cov.Gaps)
	if err != nil {
		return cov, err
	}
	defer closeParts(parts)
	counted := func(e *whose.Event) bool {
		cov.Sessions++
		return fn(e)
	}
	if a.Kinds.Has(whose.EventStanding) && !q.Moment() {
		more, err := r.standing(ctx, q, counted)
		if err != nil || !more {
			return cov, err
		}
	}
	for _, w := range windows(parts, a.from, a.to) {
		if err = a.window(parts, w, counted, &cov.Gaps); err != nil {
			break
		}
	}
	if errors.Is(err, errEnough) {
		err = nil
	}
	cov.Duration = time.Since(began)
	return cov, err
}

// standing reports the sessions that stood at the beginning.
func (r *Reader) standing(ctx context.Context, q *history.Query, fn func(*whose.Event) bool) (more bool, err error) {
	at := *q
	at.To, at.States = at.From, 0
	more = true
	_, err = r.Sessions(ctx, &at, func(s *whose.Session) bool {
		e := whose.Event{Time: q.From.In(r.zone), Kind: whose.EventStanding, Session: *s}
		e.Lifetime = whose.Lifetime{Opened: s.Life.Opened, StoodBefore: true}
		e.Session.Life, e.Session.TCP = nil, nil
		more = fn(&e)
		return more
	})
	return more, err
}

// A window is a stretch of time, both ends included.
type window struct{ from, to int64 }

// windows cuts a time into stretches with about windowSize entries each.
func windows(parts []*part, from, to int64) []window {
	var lasts []blockRow
	for _, p := range parts {
		lasts = append(lasts, p.blocks...)
	}
	slices.SortFunc(lasts, func(a, b blockRow) int { return cmp.Compare(a.last, b.last) })
	var all []window
	n := 0
	for _, b := range lasts {
		if n += b.n; n < windowSize || b.last < from {
			continue
		}
		if b.last >= to {
			break
		}
		all = append(all, window{from, b.last})
		from, n = b.last+1, 0
	}
	return append(all, window{from, to})
}

// window reports the events of one stretch, in order.
func (a *question) window(parts []*part, w window, fn func(*whose.Event) bool, gaps *whose.Gaps) error {
	c := collector{question: a, window: w}
	for i, p := range parts {
		c.part = p
		err := a.blocks(p, w.from, w.to, c.block)
		if err == nil && i == len(parts)-1 {
			err = c.live()
		}
		if err == nil {
			err = c.lost()
		}
		switch {
		case broken(err):
			gaps.Add(whose.Gap{Kind: whose.GapTime, Cause: whose.CauseFailed, Detail: p.name.String() + ": " + err.Error(), From: fromMicros(w.from).In(a.zone), To: fromMicros(w.to).In(a.zone)})
		case err != nil:
			return fmt.Errorf("read %s: %w", p.name, err)
		}
	}
	slices.SortStableFunc(c.events, func(a, b whose.Event) int { return a.Time.Compare(b.Time) })
	for i := range c.events {
		if !fn(&c.events[i]) {
			return errEnough
		}
	}
	return nil
}

// A collector collects the events of a window.
type collector struct {
	*question
	window
	part   *part
	events []whose.Event
	event  whose.Event
	infos  []whose.TCPInfo
}

func (c *collector) in(at int64) bool { return c.window.from <= at && at <= c.window.to }

func (c *collector) block(v *view) error {
	some := false
	for i := range v.at {
		if some = c.in(v.at[i]) || c.in(v.from[i]); some {
			break
		}
	}
	if !some {
		return nil
	}
	var e entry
	return v.each(func(i int, p *packed) {
		if !c.in(v.at[i]) && !c.in(v.from[i]) {
			return
		}
		e.setShape(v.shapes[p.shape])
		if !c.Protos.Has(e.proto) || !c.Families.Has(e.family) || !c.plan.Protos.Has(e.proto) || !c.plan.Families.Has(e.family) {
			return
		}
		if len(c.plan.Any) > 0 {
			local, remote := ends(v, p)
			if !slices.ContainsFunc(c.plan.Any, func(x filter.Endpoints) bool { return x.Holds(local, remote) }) {
				return
			}
		}
		if !c.inPlace(v.ref.place(p.place)) {
			return
		}
		v.entry(i, p, &e)
		c.entry(&e)
	})
}

// live collects the openings of sessions that stood at the end of the part.
func (c *collector) live() error {
	return each(c.ctx, c.part.tx, func(rows *sql.Rows) error {
		var data sql.RawBytes
		if err := rows.Scan(&data); err != nil {
			return err
		}
		return c.part.ref.entries(data, func(e *entry) {
			if c.Protos.Has(e.proto) && c.Families.Has(e.family) && c.inPlace(&e.place) {
				c.entry(e)
			}
		})
	}, "SELECT data FROM live")
}

func (c *collector) entry(e *entry) {
	if c.in(e.from) && e.beginning(&c.event, c.zone) {
		c.keep()
	}
	if e.kind != stands && c.in(e.at) {
		if len(c.infos) == 0 {
			c.infos = make([]whose.TCPInfo, 64)
		}
		if e.event(&c.event, &c.infos[0], c.zone) {
			if c.event.Session.TCP != nil {
				c.infos = c.infos[1:]
			}
			c.keep()
		}
	}
}

// keep takes the event in hand if it is wanted.
func (c *collector) keep() {
	if c.Kinds.Has(c.event.Kind) && c.whole.MatchEvent(&c.event) {
		c.events = append(c.events, c.event)
	}
}

// lost collects the losses.
func (c *collector) lost() error {
	return each(c.ctx, c.part.tx, func(rows *sql.Rows) error {
		var at int64
		var why sql.RawBytes
		e := whose.Event{Kind: whose.EventLost}
		if err := rows.Scan(&at, &e.Lost, &e.Cause, &why); err != nil {
			return err
		}
		e.Time, e.Why = fromMicros(at).In(c.zone), string(why)
		c.events = append(c.events, e)
		return nil
	}, "SELECT last, n, cause, why FROM gap WHERE n > 0 AND last BETWEEN ? AND ?", c.window.from, c.window.to)
}
