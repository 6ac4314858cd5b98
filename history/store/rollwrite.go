package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"time"
)

const (
	// rollChunk is the number of sealed entries after which they are rolled up; an hour
	// that is over is rolled up too.
	rollChunk = 4 * sealed
	// mostChunk bounds the entries of a chunk.
	mostChunk = 1 << 16
)

// A roller writes the roll-ups. It takes one chunk of one file at a time, after a
// commit, so that no commit waits for long.
type roller struct {
	// done are the files that are written no more, and not rolled up to their ends.
	done []fileName
	// names are those of the file name.
	names rollNames
	name  fileName
	hour  time.Time // of the last chunk
	// failed is the time of an attempt that failed.
	failed time.Time
}

// rollUp rolls up a chunk of blocks where one is due. A failure is reported, and tried
// again: meanwhile the sessions answer.
func (w *Writer) rollUp(ctx context.Context, now time.Time) {
	r := &w.roller
	if !r.failed.IsZero() && now.Sub(r.failed).Abs() < retry {
		return
	}
	err := w.roll(ctx, now)
	if (err == nil) == r.failed.IsZero() {
		return
	}
	if r.failed = (time.Time{}); err != nil {
		r.failed = now
	}
	if w.opts.Report != nil {
		w.opts.Report(err)
	}
}

func (w *Writer) roll(ctx context.Context, now time.Time) error {
	r := &w.roller
	if len(r.done) > 0 {
		more, err := w.rollFile(ctx, r.done[0], true)
		if errors.Is(err, fs.ErrNotExist) || broken(err) { // the sessions are gone
			more, err = false, nil
		}
		if err == nil && !more {
			r.done = slices.Delete(r.done, 0, 1)
		}
		return err
	}
	if w.file == nil {
		return nil
	}
	hour := now.UTC().Truncate(time.Hour)
	waits := w.file.sealed
	if waits < rollChunk && (waits == 0 || hour.Equal(r.hour)) {
		return nil
	}
	if _, err := w.rollFile(ctx, w.file.name, false); err != nil {
		return err
	}
	r.hour = hour
	w.file.sealed = 0
	return nil
}

// unrolled notes the files that are not rolled up to their ends, but for the last.
func (w *Writer) unrolled(ctx context.Context) error {
	names, err := w.dir.list()
	if err != nil || len(names) == 0 {
		return err
	}
	reader := &Reader{w.dir, time.UTC}
	for _, name := range names[:len(names)-1] {
		p, err := reader.openRollup(ctx, name)
		whole := err == nil && p.whole
		if err == nil {
			p.close()
		}
		if !whole {
			w.roller.done = append(w.roller.done, name)
		}
	}
	return nil
}

// rollFile rolls up a chunk of a file. more: there are further ones.
func (w *Writer) rollFile(ctx context.Context, name fileName, done bool) (more bool, err error) {
	defer func() {
		if err != nil {
			w.roller.names.forget()
			err = fmt.Errorf("roll up %s: %w", name, err)
		}
	}()
	if w.roller.name != name {
		w.roller.names.forget()
		w.roller.name = name
	}
	p, err := (&Reader{w.dir, time.UTC}).openPart(ctx, name)
	if err != nil {
		return false, err
	}
	defer p.close()
	f, err := w.openRoll(ctx, p)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	return w.rollChunk(ctx, f, p, done)
}

// openRoll opens the roll-up of a file to write it. One that is broken, or not of this
// file, is made anew.
func (w *Writer) openRoll(ctx context.Context, p *part) (*file, error) {
	old, err := (&Reader{w.dir, time.UTC}).openRollup(ctx, p.name)
	if err == nil {
		fits := old.isOf(p.blocks)
		old.close()
		if fits {
			db, err := openDB(w.dir.joinRollup(p.name), true)
			return &file{dir: w.dir, name: p.name, db: db}, err
		}
	}
	if !errors.Is(err, fs.ErrNotExist) {
		if e := w.dir.removeRollup(p.name); e != nil && !errors.Is(e, fs.ErrNotExist) {
			return nil, e
		}
		w.roller.names.forget()
	}
	if err := w.dir.createFile(p.name.rollup()); err != nil {
		return nil, err
	}
	db, err := openDB(w.dir.joinRollup(p.name), true)
	if err != nil {
		return nil, err
	}
	f := &file{dir: w.dir, name: p.name, db: db}
	c, err := f.begins(ctx)
	if err == nil {
		defer c.rollback() // after a commit it does nothing
		if _, err = c.ExecContext(ctx, rollSchema); err == nil {
			if err = setMeta(ctx, c, metaVersion, formatVersion); err == nil {
				err = c.commit(ctx)
			}
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.close(), w.dir.removeRollup(p.name))
	}
	return f, nil
}

// rollChunk writes the pages of the next blocks.
func (w *Writer) rollChunk(ctx context.Context, f *file, p *part, done bool) (more bool, err error) {
	c, err := f.begins(ctx)
	if err != nil {
		return false, err
	}
	defer c.rollback() // after a commit it does nothing
	blocks, more, err := nextBlocks(ctx, c, p, done)
	if err != nil {
		return false, err
	}
	if len(blocks) > 0 {
		if err := w.writePages(ctx, c, p, blocks); err != nil {
			return false, err
		}
	}
	for key, value := range map[string]any{metaBegin: p.begin, metaSeen: p.end, metaHost: p.host, metaDone: btou(p.done), metaWhole: btou(done && !more)} {
		if err := setMeta(ctx, c, key, value); err != nil {
			return false, err
		}
	}
	if err := copyGaps(ctx, c, p); err != nil {
		return false, err
	}
	if err := c.commit(ctx); err != nil {
		return false, err
	}
	if done && !more {
		// Without a file beside it everybody can read it who may read the file.
		_, err = c.ExecContext(ctx, "PRAGMA journal_mode = DELETE")
	}
	return more, err
}

// nextBlocks returns the blocks that are to be rolled up next: sealed ones, which do not change,
// and of a file that is not written any more all.
func nextBlocks(ctx context.Context, c *conn, p *part, done bool) (blocks []blockRow, more bool, err error) {
	upto, last := int64(0), int64(1)<<62
	if err := c.QueryRowContext(ctx, "SELECT ifnull(max(upto), 0) FROM chunk").Scan(&upto); err != nil {
		return nil, false, err
	}
	if !done {
		const query = "SELECT ifnull((SELECT id FROM block WHERE NOT small ORDER BY id DESC LIMIT 1), 0)"
		if err := p.tx.QueryRowContext(ctx, query).Scan(&last); err != nil {
			return nil, false, err
		}
	}
	slices.SortFunc(p.blocks, func(a, b blockRow) int { return int(a.id - b.id) })
	n := 0
	for _, b := range p.blocks {
		if b.id <= upto || b.id > last {
			continue
		}
		if n >= mostChunk {
			return blocks, true, nil
		}
		n += b.n
		blocks = append(blocks, b)
	}
	return blocks, false, nil
}

func (w *Writer) writePages(ctx context.Context, c *conn, p *part, blocks []blockRow) error {
	names := &w.roller.names
	if err := names.use(ctx, c, p); err != nil {
		return err
	}
	b := newRollBuilder()
	b.prog, b.place = names.prog, names.place
	maps.Copy(b.minute, names.rows)
	if err := b.read(ctx, p, blocks); err != nil {
		return err
	}
	if err := errors.Join(names.err, names.ref.err); err != nil {
		return err
	}
	maps.DeleteFunc(b.minute, func(at int64, _ int) bool { return at < b.latest-1 })
	names.rows = b.minute
	last := blocks[len(blocks)-1]
	if err := c.exec(ctx, "INSERT INTO chunk VALUES (?, ?, ?)", last.id, last.last, last.n); err != nil {
		return err
	}
	for _, page := range b.pages {
		head, data := b.pageText(page.rows)
		err := c.exec(ctx, "INSERT INTO pages(chunk, first, last, reach, late, n, folded, head, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
			last.id, page.first, page.last, page.reach, page.late, page.n, page.folded, head, data)
		if err != nil {
			return err
		}
	}
	return nil
}

// read adds up blocks of a file.
func (b *rollBuilder) read(ctx context.Context, p *part, blocks []blockRow) error {
	var v block
	var text []byte
	for _, row := range blocks {
		if err := p.tx.QueryRowContext(ctx, "SELECT data FROM block WHERE id = ?", row.id).Scan(&text); err != nil {
			return err
		}
		err := v.open(text)
		if err == nil {
			err = v.times()
		}
		if err == nil {
			err = v.tables()
		}
		if err == nil {
			err = b.block(&v)
		}
		if err != nil {
			return fmt.Errorf("block %d: %w", row.id, err)
		}
	}
	return nil
}

// copyGaps gives the roll-up the gaps of its file, which it outlives.
func copyGaps(ctx context.Context, c *conn, p *part) error {
	if err := c.exec(ctx, "DELETE FROM gap"); err != nil {
		return err
	}
	gaps, err := p.gaps(ctx)
	if err != nil {
		return err
	}
	for _, g := range gaps {
		err := c.exec(ctx, "INSERT INTO gap(first, last, n, cause, why) VALUES (?, ?, ?, ?, ?)", g.first, g.last, int64(g.n), g.cause, blob(g.why))
		if err != nil {
			return err
		}
	}
	return nil
}
