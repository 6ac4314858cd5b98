package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/seed-44df2ae6/whose"
)

// errUnfinished is the error of a file whose making was interrupted.
var errUnfinished = errors.New("it was never made ready")

// resume goes on where the writer before this one stopped.
func (w *Writer) resume(ctx context.Context) error {
	now := w.opts.Now()
	for {
		names, err := w.dir.list()
		if err != nil {
			return err
		}
		if len(names) == 0 {
			break
		}
		last := names[len(names)-1]
		err = w.continueFile(ctx, last)
		switch {
		case err == nil:
			return w.goOn(ctx, micros(now))
		case errors.Is(err, errUnfinished):
			err = w.dir.remove(last)
		case broken(err):
			w.gaps = append(w.gaps, gap{micros(last.day), micros(now), 0, whose.CauseFailed, last.String() + " was broken and set aside"})
			if w.opts.Report != nil {
				w.opts.Report(fmt.Errorf("open history: %s: %w; it is set aside as %[1]s%[3]s", last, err, badSuffix))
			}
			err = w.dir.setAside(last)
		}
		if err != nil {
			return err
		}
	}
	if err := w.rotate(ctx, now); err != nil {
		return err
	}
	return w.write(ctx, now)
}

// continueFile opens the last file, and reads its standing sessions.
func (w *Writer) continueFile(ctx context.Context, name fileName) error {
	f, err := w.openFile(name)
	if err != nil {
		return err
	}
	err = w.readFile(ctx, f)
	if err != nil {
		w.live, w.fresh = newTable(), nil
		return errors.Join(err, f.db.Close())
	}
	w.file = f
	return nil
}

func (w *Writer) readFile(ctx context.Context, f *file) error {
	if err := f.check(ctx); err != nil {
		return err
	}
	tx, err := f.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := checkVersion(ctx, tx); err != nil {
		return err
	}
	if f.begin, err = meta[int64](ctx, tx, metaBegin); err != nil {
		return err
	}
	if f.seen, err = meta[int64](ctx, tx, metaSeen); err != nil {
		return err
	}
	r := newReference(ctx, tx)
	if err := w.readLive(ctx, tx, r, f.seen); err != nil {
		return err
	}
	err = each(ctx, tx, func(rows *sql.Rows) error {
		var data []byte
		if err := rows.Scan(&data); err != nil {
			return err
		}
		return r.entries(data, func(e *entry) { f.tail = append(f.tail, *e) })
	}, "SELECT data"+afterSealed+" ORDER BY id")
	f.tailAt = fromMicros(f.seen)
	f.sealed = rollChunk // perhaps
	return errors.Join(err, r.err)
}

// check refuses a file that is not whole, or was never made ready.
func (f *file) check(ctx context.Context) error {
	var verdict string
	if err := f.db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return fmt.Errorf("%w: %s", errMalformed, verdict)
	}
	tables := 0
	if err := f.db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&tables); err != nil {
		return err
	}
	if tables == 0 {
		return errUnfinished
	}
	return nil
}

// readLive takes over the sessions that stood at the last commit.
func (w *Writer) readLive(ctx context.Context, tx *sql.Tx, r *reference, seen int64) error {
	return each(ctx, tx, func(rows *sql.Rows) error {
		var id int64
		var data []byte
		if err := rows.Scan(&id, &data); err != nil {
			return err
		}
		w.live.nextID = max(w.live.nextID, id+1)
		return r.entries(data, func(e *entry) {
			l := w.live.newLive(&e.facts, e.from)
			l.id, l.unsure, l.missedAt = id, true, seen
			w.live.all.Set(l.key, l)
		})
	}, "SELECT id, data FROM live")
}

// goOn notes the time in which nobody wrote. After a start of the host nothing
// stands any more; else a look at the standing sessions decides.
func (w *Writer) goOn(ctx context.Context, now int64) error {
	boot, err := meta[string](ctx, w.file.db, metaBoot)
	if err != nil {
		return err
	}
	w.gaps = append(w.gaps, gap{w.file.seen, now, 0, whose.CauseDown, whyDown})
	if boot != w.opts.Boot || boot == "" {
		for _, l := range w.live.all.All() {
			w.vanish(l, w.file.seen)
		}
		if _, err := w.file.db.ExecContext(ctx, "UPDATE meta SET value = ? WHERE key = ?", w.opts.Boot, metaBoot); err != nil {
			return err
		}
	}
	return w.write(ctx, fromMicros(now))
}
