package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/history"
)

var _ history.Grouper = (*Reader)(nil)

// Groups answers a count. It takes the pages of roll-ups where they have all that the
// count asks for, at its minutes, and the sessions elsewhere. Where the sessions are
// removed already it takes the pages all the same, and says what is not exact.
func (r *Reader) Groups(ctx context.Context, q *history.Query, g *history.Grouping, fn func(*whose.Session, int)) (whose.Coverage, error) {
	began := time.Now()
	cov := newCoverage()
	all, err := r.rolled(ctx, q, &cov.Gaps)
	if err != nil {
		return cov, err
	}
	defer all.close()
	a := r.question(ctx, q)
	if err := r.gaps(ctx, all.parts(), a.from, a.to, &cov.Gaps); err != nil {
		return cov, fmt.Errorf("read history: %w", err)
	}
	take := func(s *whose.Session, n int) {
		cov.Sessions += n
		if len(s.Owners) > 0 && s.Reason == whose.ReasonNone {
			cov.Owned += n
		} else {
			cov.Ownerless[s.Reason] += n
		}
		fn(s, n)
	}
	if !a.asksNothing() {
		c := newGrouper(a, g, take)
		err = c.pages(all, &cov.Gaps)
		if err == nil {
			err = a.sessions(all.days(), func(s *whose.Session) bool { take(s, 1); return true }, &cov.Gaps)
		}
	}
	cov.Duration = time.Since(began)
	return cov, err
}

// A rolledDay is a file and its roll-up. One of them may be missing.
type rolledDay struct {
	day    *part
	rollup *rollPart
}

type rolledDays []rolledDay

func (all rolledDays) close() {
	for _, d := range all {
		if d.day != nil {
			d.day.close()
		}
		if d.rollup != nil {
			d.rollup.close()
		}
	}
}

// days returns the files that are there.
func (all rolledDays) days() []*part {
	var parts []*part
	for _, d := range all {
		if d.day != nil {
			parts = append(parts, d.day)
		}
	}
	return parts
}

// parts returns all files or, where these are removed, their roll-ups.
func (all rolledDays) parts() []*part {
	var parts []*part
	for _, d := range all {
		if d.day != nil {
			parts = append(parts, d.day)
		} else {
			parts = append(parts, &d.rollup.part)
		}
	}
	return parts
}

// rolled opens the files and roll-ups that may have something of the time of a
// question. A roll-up is opened before its file, so the file has all of its blocks.
func (r *Reader) rolled(ctx context.Context, q *history.Query, gaps *whose.Gaps) (rolledDays, error) {
	a := r.question(ctx, q)
	names, err := r.dir.rollups()
	if err != nil {
		return nil, openError(r.dir.path, err)
	}
	rollups := make(map[fileName]*rollPart)
	closeRest := func() {
		for _, p := range rollups {
			p.close()
		}
	}
	for i, name := range names {
		if inOrder(names) && !mayHold(names, i, a.from) {
			continue
		}
		p, err := r.openRollup(ctx, name)
		switch {
		case err == nil:
			rollups[name] = p
		case ctx.Err() != nil:
			closeRest()
			return nil, ctx.Err()
		}
	}
	parts, err := r.parts(ctx, a.from, a.to, gaps)
	if err != nil {
		closeRest()
		return nil, err
	}
	var all rolledDays
	for _, p := range parts {
		d := rolledDay{day: p, rollup: rollups[p.name]}
		if d.rollup != nil {
			delete(rollups, p.name)
			if !d.rollup.isOf(p.blocks) { // the writer makes it anew
				d.rollup.close()
				d.rollup = nil
			}
		}
		all = append(all, d)
	}
	for name, p := range rollups {
		if p.end < a.from || len(p.pages) == 0 && !p.whole {
			p.close()
			continue
		}
		all = append(all, rolledDay{rollup: rollups[name]})
	}
	slices.SortFunc(all, func(x, y rolledDay) int { return cmp.Compare(x.number(), y.number()) })
	return all, nil
}

func (d rolledDay) number() int {
	if d.day != nil {
		return d.day.name.number
	}
	return d.rollup.name.number
}

// pages hands on the rows of all pages that the question may take, and leaves to the
// sessions the blocks that these do not have.
func (g *grouper) pages(all rolledDays, gaps *whose.Gaps) error {
	for i := range all {
		d := &all[i]
		if d.rollup == nil {
			continue
		}
		err := g.day(d, gaps)
		switch {
		case broken(err):
			gaps.Add(whose.Gap{Kind: whose.GapTime, Cause: whose.CauseFailed, Detail: d.rollup.name.rollup() + ": " + err.Error(),
				From: fromMicros(d.rollup.begin).In(g.zone), To: fromMicros(d.rollup.end).In(g.zone)})
		case err != nil:
			return fmt.Errorf("read %s: %w", d.rollup.name.rollup(), err)
		}
	}
	return g.flush()
}

// day takes the pages of one roll-up.
func (g *grouper) day(d *rolledDay, gaps *whose.Gaps) error {
	chunks := make(map[int64]bool) // by their last blocks: whether the pages are exact
	for i := range d.rollup.pages {
		p := &d.rollup.pages[i]
		exact, known := chunks[p.chunk]
		chunks[p.chunk] = (exact || !known) && g.exact(p)
	}
	if d.day == nil {
		return g.alone(d.rollup, chunks, gaps)
	}
	// A chunk has the blocks after those of the one before it.
	var bounds []int64
	for upto := range chunks {
		bounds = append(bounds, upto)
	}
	slices.Sort(bounds)
	var left []blockRow
	for _, b := range d.day.blocks {
		at, _ := slices.BinarySearch(bounds, b.id)
		if at == len(bounds) || !chunks[bounds[at]] {
			left = append(left, b)
		}
	}
	some := false
	for i := range d.rollup.pages {
		p := &d.rollup.pages[i]
		if !chunks[p.chunk] || !g.meets(p) {
			continue
		}
		v, err := g.read(d.rollup, p)
		if broken(err) && !some {
			return nil // the sessions have it all
		}
		if err == nil {
			some = true
			_, err = g.page(d.rollup, p, v)
		}
		if err != nil {
			d.day.blocks = left
			return err
		}
	}
	d.day.blocks = left
	return nil
}

// alone takes the pages of a file that is removed.
func (g *grouper) alone(r *rollPart, exact map[int64]bool, gaps *whose.Gaps) error {
	if g.lacks != "" {
		gaps.Add(whose.Gap{Kind: whose.GapTime, Cause: whose.CauseUnsupported, From: g.at(max(r.begin, g.from)), To: g.at(min(r.end, g.to)),
			Detail: "only the roll-up has this time, and it does not know " + g.lacks})
		return nil
	}
	rough, folded := false, int64(0)
	for i := range r.pages {
		p := &r.pages[i]
		if !g.meets(p) {
			continue
		}
		v, err := g.read(r, p)
		if err != nil {
			return err
		}
		rough = rough || !g.whole(p)
		n, err := g.page(r, p, v)
		if err != nil {
			return err
		}
		folded += n
	}
	if !r.whole {
		gaps.Add(whose.Gap{Kind: whose.GapTime, Cause: whose.CauseFailed, From: g.at(max(r.known(), g.from)), To: g.at(min(r.end, g.to)),
			Detail: "the sessions were removed before they were rolled up"})
	}
	if rough {
		gaps.Add(whose.Gap{Kind: whose.GapSessions, Cause: whose.CauseLimit, From: g.at(max(r.begin, g.from)), To: g.at(min(r.end, g.to)),
			Detail: "only the roll-up has this time, and it knows whole minutes"})
	}
	if folded > 0 {
		gaps.Add(whose.Gap{Kind: whose.GapSessions, Cause: whose.CauseLimit, Count: int(folded),
			Detail: "the roll-up had no room for " + g.foldedText()})
	}
	return nil
}

// rollupOverview describes the roll-ups, nil if there are none.
func (r *Reader) rollupOverview(ctx context.Context) (*history.RollupOverview, error) {
	names, err := r.dir.rollups()
	if err != nil {
		return nil, openError(r.dir.path, err)
	}
	var o history.RollupOverview
	for _, name := range names {
		p, err := r.openRollup(ctx, name)
		if err != nil {
			continue // verify names it
		}
		for _, page := range p.pages {
			if first := r.time(page.first); o.From.IsZero() || first.Before(o.From) {
				o.From = first
			}
			if last := r.time(page.last); last.After(o.To) {
				o.To = last
			}
		}
		p.close()
		o.Files++
		o.Bytes += r.dir.rollupSize(name)
	}
	if o.From.IsZero() {
		return nil, nil
	}
	return &o, nil
}

func (g *grouper) at(us int64) time.Time { return fromMicros(us).In(g.zone) }

// read reads a page: its head and, where the count needs these, its rows.
func (g *grouper) read(r *rollPart, p *rollPage) (*pageView, error) {
	v := &g.view
	err := r.tx.QueryRowContext(g.ctx, "SELECT head FROM pages WHERE id = ?", p.id).Scan(&g.head)
	if err == nil {
		err = v.head(g.head)
	}
	if err == nil && !g.headOnly(p) {
		err = r.tx.QueryRowContext(g.ctx, "SELECT data FROM pages WHERE id = ?", p.id).Scan(&g.text)
		if err == nil {
			err = v.rows(g.text)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("page %d: %w", p.id, err)
	}
	return v, nil
}

// headOnly reports whether the head of a page has all that the count needs of it.
func (g *grouper) headOnly(p *rollPage) bool {
	return !g.addr && len(g.remotes) == 0 && g.inside(p) && g.oneStep(p).known
}
