package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// A file is the file that is written.
type file struct {
	dir        dir
	name       fileName
	db         *sql.DB
	conn       *conn // from the first transaction on
	begin      int64
	seen       int64
	bytes      int64 // about
	dictionary dictionary
	encoder    encoder
	// tail are the entries of the small blocks, tailAt the time of the first.
	tail   []entry
	tailAt time.Time
	all    []entry // memory of seal
	text   []byte
}

// beginFile makes an empty file.
func (w *Writer) beginFile(ctx context.Context, name fileName, now time.Time) (*file, error) {
	if err := w.dir.createFile(name); err != nil {
		return nil, err
	}
	f, err := w.openFile(name)
	if err == nil {
		err = f.make(ctx, w.opts.Host, w.opts.Boot, micros(now))
	}
	if err != nil {
		if f != nil {
			_ = f.close() // the first error counts
		}
		_ = w.dir.remove(name)
		return nil, err
	}
	f.begin, f.seen = micros(now), micros(now)
	return f, nil
}

func (w *Writer) openFile(name fileName) (*file, error) {
	db, err := openDB(w.dir.join(name), true)
	if err != nil {
		return nil, err
	}
	f := &file{dir: w.dir, name: name, db: db}
	f.dictionary.noCmdline = w.opts.NoCmdline
	f.encoder.names = &f.dictionary
	return f, nil
}

// make writes the schema.
func (f *file) make(ctx context.Context, host, boot string, now int64) error {
	c, err := f.begins(ctx)
	if err != nil {
		return err
	}
	defer c.rollback() // after a commit it does nothing
	if _, err := c.ExecContext(ctx, schema); err != nil {
		return err
	}
	for key, value := range map[string]any{
		metaVersion: formatVersion, metaBegin: now, metaSeen: now, metaDone: 0, metaBoot: boot, metaHost: host,
	} {
		if err := setMeta(ctx, c, key, value); err != nil {
			return err
		}
	}
	return c.commit(ctx)
}

func setMeta(ctx context.Context, c *conn, key string, value any) error {
	return c.exec(ctx, "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", key, value)
}

// begins begins a transaction.
func (f *file) begins(ctx context.Context) (*conn, error) {
	if f.conn == nil {
		c, err := f.db.Conn(ctx)
		if err != nil {
			return nil, err
		}
		f.conn = &conn{Conn: c, prepared: make(map[string]*sql.Stmt)}
	}
	return f.conn, f.conn.exec(ctx, "BEGIN IMMEDIATE")
}

func (f *file) close() error {
	var err error
	if f.conn != nil {
		err = f.conn.close()
	}
	return errors.Join(err, f.db.Close())
}

// commit writes entries, gaps and the changes of standing sessions.
func (f *file) commit(ctx context.Context, t *table, fresh []entry, gaps []gap, now time.Time) error {
	c, err := f.begins(ctx)
	if err != nil {
		return err
	}
	defer c.rollback() // after a commit it does nothing
	inserted, err := f.fill(ctx, c, t, fresh, gaps, now)
	if err == nil {
		err = c.commit(ctx)
	}
	if err != nil {
		f.dictionary.forget()
		for _, l := range inserted {
			l.id = 0
		}
		return err
	}
	f.settle(t, fresh, now)
	return nil
}

// fill writes all of a commit. It returns the sessions that got a row.
func (f *file) fill(ctx context.Context, c *conn, t *table, fresh []entry, gaps []gap, now time.Time) ([]*live, error) {
	if err := f.dictionary.use(ctx, c); err != nil {
		return nil, err
	}
	if err := f.writeBlocks(ctx, c, fresh, now); err != nil {
		return nil, err
	}
	inserted, err := f.writeLive(ctx, c, t, now)
	if err != nil {
		return inserted, err
	}
	for _, g := range gaps {
		err := c.exec(ctx, "INSERT INTO gap(first, last, n, cause, why) VALUES (?, ?, ?, ?, ?)", g.first, g.last, int64(g.n), g.cause, blob(g.why))
		if err != nil {
			return inserted, err
		}
	}
	return inserted, setMeta(ctx, c, metaSeen, micros(now))
}

// writeBlocks writes the entries as a small block or, where there are enough, with
// those of the small blocks as one of the usual size.
func (f *file) writeBlocks(ctx context.Context, c *conn, fresh []entry, now time.Time) error {
	if f.sealDue(len(fresh), now) {
		f.all = append(append(f.all[:0], f.tail...), fresh...) // the two stay until it is committed
		err := f.seal(ctx, c, f.all)
		clear(f.all)
		return err
	}
	return f.writeBoth(ctx, c, fresh, true)
}

// writeBoth writes entries as two blocks: of the sessions that stood as the file was
// begun, and of the others. So a question about the time before the file looks into
// few of its blocks.
func (f *file) writeBoth(ctx context.Context, c *conn, entries []entry, small bool) error {
	slices.SortStableFunc(entries, func(a, b entry) int {
		x, y := a.from < f.begin, b.from < f.begin
		switch {
		case x == y:
			return cmp.Compare(a.at, b.at)
		case x:
			return -1
		}
		return 1
	})
	at := 0
	for at < len(entries) && entries[at].from < f.begin {
		at++
	}
	for _, some := range [][]entry{entries[:at], entries[at:]} {
		if len(some) > 0 {
			if err := f.writeBlock(ctx, c, some, small); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *file) sealDue(more int, now time.Time) bool {
	n := len(f.tail) + more
	return n >= sealed || n > 0 && len(f.tail) > 0 && now.Sub(f.tailAt).Abs() >= sealAfter
}

// seal writes entries as one block, in place of the small ones.
func (f *file) seal(ctx context.Context, c *conn, entries []entry) error {
	if len(f.tail) > 0 {
		// The small ones are the last.
		const query = "DELETE FROM block WHERE id > ifnull((SELECT id FROM block WHERE NOT small ORDER BY id DESC LIMIT 1), 0)"
		if err := c.exec(ctx, query); err != nil {
			return err
		}
	}
	for chunk := range slices.Chunk(entries, maxBlock) {
		if err := f.writeBoth(ctx, c, chunk, false); err != nil {
			return err
		}
	}
	return nil
}

// writeBlock writes entries in the order of their times.
func (f *file) writeBlock(ctx context.Context, c *conn, entries []entry, small bool) error {
	reach := entries[0].from
	for i := range entries {
		reach = min(reach, entries[i].from, entries[i].at)
	}
	f.text = f.encoder.block(f.text[:0], entries)
	if f.dictionary.err != nil {
		return f.dictionary.err
	}
	var signed any
	if !small {
		signed = []byte(signOf(entries))
	}
	return c.exec(ctx, "INSERT INTO block(first, last, reach, n, small, sign, data) VALUES (?, ?, ?, ?, ?, ?, ?)",
		entries[0].at, entries[len(entries)-1].at, reach, len(entries), small, signed, f.text)
}

// writeLive writes the rows of the sessions that stand, but for young ones.
func (f *file) writeLive(ctx context.Context, c *conn, t *table, now time.Time) (inserted []*live, err error) {
	for _, id := range t.deleted {
		if err := c.exec(ctx, "DELETE FROM live WHERE id = ?", id); err != nil {
			return nil, err
		}
	}
	for _, l := range t.changed {
		if l.ended || l.young(micros(now)) {
			continue
		}
		if l.id == 0 {
			l.id = t.nextID
			t.nextID++
			inserted = append(inserted, l)
		}
		one := [1]entry{l.entry(micros(now))}
		f.text = f.encoder.block(f.text[:0], one[:])
		if f.dictionary.err != nil {
			return inserted, f.dictionary.err
		}
		if err := c.exec(ctx, "INSERT OR REPLACE INTO live VALUES (?, ?)", l.id, f.text); err != nil {
			return inserted, err
		}
	}
	return inserted, nil
}

// settle notes the results of a commit.
func (f *file) settle(t *table, fresh []entry, now time.Time) {
	t.deleted = t.deleted[:0]
	waiting := t.changed[:0]
	for _, l := range t.changed {
		switch {
		case l.ended:
		case l.young(micros(now)):
			waiting = append(waiting, l)
		default:
			l.dirty = false
		}
	}
	clear(t.changed[len(waiting):])
	t.changed = waiting
	switch {
	case f.sealDue(len(fresh), now):
		clear(f.tail)
		f.tail = f.tail[:0]
	case len(fresh) > 0:
		if len(f.tail) == 0 {
			f.tailAt = now
		}
		f.tail = append(f.tail, fresh...)
	}
	f.seen = micros(now)
	if info, err := os.Stat(f.dir.join(f.name)); err == nil {
		f.bytes = info.Size()
	}
}

// leave ends the file. One that is done is not written again: its live sessions
// stand on in the next.
func (f *file) leave(ctx context.Context, done bool, now time.Time) error {
	err := f.last(ctx, done, now)
	if err == nil {
		// Without a file beside it everybody can read it who may read the file.
		_, err = f.conn.ExecContext(ctx, "PRAGMA journal_mode = DELETE")
	}
	if e := f.close(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("leave %s: %w", f.name, err)
	}
	return nil
}

// last makes the last commit of the file.
func (f *file) last(ctx context.Context, done bool, now time.Time) error {
	c, err := f.begins(ctx)
	if err != nil {
		return err
	}
	defer c.rollback() // after a commit it does nothing
	if err := f.dictionary.use(ctx, c); err != nil {
		return err
	}
	if len(f.tail) > 0 {
		if err := f.seal(ctx, c, f.tail); err != nil {
			return err
		}
	}
	if done {
		if err := setMeta(ctx, c, metaDone, 1); err != nil {
			return err
		}
	}
	if err := setMeta(ctx, c, metaSeen, micros(now)); err != nil {
		return err
	}
	return c.commit(ctx)
}
