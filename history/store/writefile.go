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
	sealed int // entries in sealed blocks that are not rolled up yet
}

// beginFile makes an empty file.
func (w *Writer) beginFile(ctx context.Context, name fileName, now time.Time) (*file, error) {
	if err := w.dir.createFile(name.String()); err != nil {
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

// commit writes a load.
func (f *file) commit(ctx context.Context, l *load) error {
	c, err := f.begins(ctx)
	if err != nil {
		return err
	}
	defer c.rollback() // after a commit it does nothing
	err = f.fill(ctx, c, l)
	if err == nil {
		err = c.commit(ctx)
	}
	if err != nil {
		f.dictionary.forget()
		return err
	}
	f.settle(l)
	return nil
}

// fill writes all of a commit.
func (f *file) fill(ctx context.Context, c *conn, l *load) error {
	if err := f.dictionary.use(ctx, c); err != nil {
		return err
	}
	if err := f.writeBlocks(ctx, c, l.entries, l.now); err != nil {
		return err
	}
	if err := f.writeLive(ctx, c, l); err != nil {
		return err
	}
	for _, g := range l.gaps {
		err := c.exec(ctx, "INSERT INTO gap(first, last, n, cause, why) VALUES (?, ?, ?, ?, ?)", g.first, g.last, int64(g.n), g.cause, blob(g.why))
		if err != nil {
			return err
		}
	}
	return setMeta(ctx, c, metaSeen, micros(l.now))
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
		for chunk := range slices.Chunk(some, 2*sealed) {
			if err := f.writeBlock(ctx, c, chunk, small); err != nil {
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

// seal writes entries as blocks of the usual size, in place of the small ones.
func (f *file) seal(ctx context.Context, c *conn, entries []entry) error {
	if len(f.tail) > 0 {
		// The small ones are the last.
		if err := c.exec(ctx, "DELETE"+afterSealed); err != nil {
			return err
		}
	}
	return f.writeBoth(ctx, c, entries, false)
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
		f.sealed += len(entries)
	}
	return c.exec(ctx, "INSERT INTO block(first, last, reach, n, small, sign, data) VALUES (?, ?, ?, ?, ?, ?, ?)",
		entries[0].at, entries[len(entries)-1].at, reach, len(entries), small, signed, f.text)
}

// writeLive writes the rows of the sessions that stand.
func (f *file) writeLive(ctx context.Context, c *conn, l *load) error {
	for _, id := range l.deleted {
		if err := c.exec(ctx, "DELETE FROM live WHERE id = ?", id); err != nil {
			return err
		}
	}
	for i := range l.rows {
		r := &l.rows[i]
		one := [1]entry{r.entry(micros(l.now))}
		f.text = f.encoder.block(f.text[:0], one[:])
		if f.dictionary.err != nil {
			return f.dictionary.err
		}
		if err := c.exec(ctx, "INSERT OR REPLACE INTO live VALUES (?, ?)", r.id, f.text); err != nil {
			return err
		}
	}
	return nil
}

// settle notes the results of a commit.
func (f *file) settle(l *load) {
	fresh, now := l.entries, l.now
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
