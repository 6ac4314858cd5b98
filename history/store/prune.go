package store

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Limits say what is kept of a history.
type Limits struct {
	// Days is the number of days after which files with sessions are removed,
	// RollupDays that of roll-ups. 0: no bound.
	Days, RollupDays int
	// Bytes bounds all files together: the oldest are removed. Roll-ups without their
	// files go first where all have more than a quarter of it. 0: no bound.
	Bytes int64
}

// rollupShare is the share of the bytes for roll-ups.
const rollupShare = 4

// Prune removes what is beyond the limits. The last file stays. It returns the names of
// the removed files. Needs the right to write the directory.
func Prune(path string, l Limits) ([]string, error) {
	r, err := Open(path, time.UTC)
	if err != nil {
		return nil, err
	}
	removed, err := r.dir.prune(time.Now(), l, func(fileName, bool) bool { return false })
	if err != nil {
		return removed, fmt.Errorf("prune history %s: %w", path, err)
	}
	return removed, nil
}

// waits reports whether a file waits for its roll-up, and is not removed before. If
// that fails, room is made all the same, and age removes nothing.
func (r *roller) waits(name fileName, age bool) bool {
	return slices.Contains(r.done, name) && (age || r.failed.IsZero())
}

// A pruning removes files of a directory.
type pruning struct {
	dir
	Limits
	now     time.Time
	names   []fileName // with sessions
	rollups []fileName // roll-ups without one of these
	sum     int64      // bytes of all files
	rollup  int64      // bytes of all roll-ups
	removed []string
}

// prune removes what is beyond the limits. wait says of a file that it has to stay yet,
// where it is removed for its age, or for its bytes.
func (d dir) prune(now time.Time, l Limits, wait func(name fileName, age bool) bool) ([]string, error) {
	p := &pruning{dir: d, Limits: l, now: now, sum: d.bytes()}
	var err error
	if p.names, err = d.list(); err != nil {
		return nil, err
	}
	rollups, err := d.rollups()
	if err != nil {
		return nil, err
	}
	for _, n := range rollups {
		p.rollup += d.rollupSize(n)
		if !slices.Contains(p.names, n) {
			p.rollups = append(p.rollups, n)
		}
	}
	for len(p.names) > 1 && older(now, p.names[1].day, l.Days) && !wait(p.names[0], true) {
		if err := p.file(); err != nil {
			return p.removed, err
		}
	}
	for len(p.rollups) > 0 && older(now, p.rollups[0].day, l.RollupDays) {
		if err := p.oldRollup(); err != nil {
			return p.removed, err
		}
	}
	return p.removed, p.room(wait)
}

// older reports whether a day is over since so many days. Zero: no.
func older(now, day time.Time, days int) bool {
	return days > 0 && now.Sub(day.Add(24*time.Hour)) > time.Duration(days)*24*time.Hour
}

// room removes the oldest files until the rest is within the bytes.
func (p *pruning) room(wait func(name fileName, age bool) bool) error {
	for p.Bytes > 0 && p.sum > p.Bytes {
		var err error
		switch {
		case len(p.rollups) > 0 && p.rollup > p.Bytes/rollupShare:
			err = p.oldRollup()
		case len(p.names) > 1 && !wait(p.names[0], false):
			err = p.file()
		case len(p.rollups) > 0:
			err = p.oldRollup()
		default:
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// file removes the oldest file with sessions. Its roll-up stays.
func (p *pruning) file() error {
	name := p.names[0]
	p.sum -= p.size(name)
	if err := p.remove(name); err != nil {
		return err
	}
	p.removed = append(p.removed, name.String())
	p.names = p.names[1:]
	if p.rollupSize(name) > 0 {
		p.rollups = append(p.rollups, name)
		slices.SortFunc(p.rollups, func(a, b fileName) int { return a.number - b.number })
	}
	return nil
}

// oldRollup removes the oldest roll-up without its file.
func (p *pruning) oldRollup() error {
	name := p.rollups[0]
	size := p.rollupSize(name)
	p.sum, p.rollup = p.sum-size, p.rollup-size
	if err := p.removeRollup(name); err != nil {
		return err
	}
	p.removed = append(p.removed, name.rollup())
	p.rollups = p.rollups[1:]
	return nil
}

// verifyRollup reads a roll-up whole and holds it against the blocks of its file, where
// this is there.
func (r *Reader) verifyRollup(ctx context.Context, name fileName) error {
	p, err := r.openRollup(ctx, name)
	if err != nil {
		return err
	}
	defer p.close()
	if err := intact(ctx, p.tx); err != nil {
		return err
	}
	sums := make(map[int64]rollSums) // by chunk
	for _, page := range p.pages {
		all, err := p.verifyPage(ctx, page.id)
		if err == nil && all.n != uint64(page.n) {
			err = fmt.Errorf("%w: %d sessions in place of %d", errMalformed, all.n, page.n)
		}
		if err != nil {
			return fmt.Errorf("page %d: %w", page.id, err)
		}
		sum := sums[page.chunk]
		sum.add(&all)
		sums[page.chunk] = sum
	}
	return r.compareRollup(ctx, p, sums)
}

// verifyPage reads a page whole, and returns the sums of its rows.
func (p *rollPart) verifyPage(ctx context.Context, id int64) (all rollSums, err error) {
	var head, data []byte
	if err := p.tx.QueryRowContext(ctx, "SELECT head, data FROM pages WHERE id = ?", id).Scan(&head, &data); err != nil {
		return all, err
	}
	var v pageView
	if err := v.head(head); err != nil {
		return all, err
	}
	if err := v.rows(data); err != nil {
		return all, err
	}
	sums := make([]rollSums, len(v.keys))
	err = v.each(func(row *pageRow) {
		all.add(&row.rollSums)
		sums[row.key].add(&row.rollSums)
	})
	if err == nil && !slices.Equal(sums, v.sums) {
		err = fmt.Errorf("%w: the head is not the sum of the rows", errMalformed)
	}
	return all, err
}

// compareRollup compares the sums of the pages with those of the blocks.
func (r *Reader) compareRollup(ctx context.Context, p *rollPart, sums map[int64]rollSums) error {
	day, err := r.openPart(ctx, p.name)
	if err != nil {
		return nil // it is removed, or reported by itself
	}
	defer day.close()
	if !p.isOf(day.blocks) {
		return fmt.Errorf("%w: it is of other blocks", errMalformed)
	}
	var chunks []int64
	for chunk := range sums {
		chunks = append(chunks, chunk)
	}
	slices.Sort(chunks)
	from := int64(0)
	for _, chunk := range chunks {
		b := newRollBuilder()
		none := func(uint64) uint32 { return 0 }
		b.prog, b.place = none, none
		var blocks []blockRow
		for _, row := range day.blocks {
			if row.id > from && row.id <= chunk {
				blocks = append(blocks, row)
			}
		}
		if err := b.read(ctx, day, blocks); err != nil {
			return err
		}
		var want rollSums
		for i := range b.sums {
			want.add(&b.sums[i])
		}
		if got := sums[chunk]; got != want {
			return fmt.Errorf("%w: blocks %d to %d: the roll-up counts %d sessions and %d bytes, the blocks %d and %d", errMalformed, from+1, chunk,
				got.n, got.sent.Bytes+got.received.Bytes, want.n, want.sent.Bytes+want.received.Bytes)
		}
		from = chunk
	}
	return nil
}
