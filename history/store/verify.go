package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Verify reads all files of a history whole. It returns the number of their entries,
// and the fault of each broken file. The error is the directory's.
func Verify(ctx context.Context, path string) (entries int, faults []error, err error) {
	r, err := Open(path, time.UTC)
	if err != nil {
		return 0, nil, err
	}
	names, err := r.dir.list()
	if err != nil {
		return 0, nil, openError(path, err)
	}
	for _, name := range names {
		n, err := r.verify(ctx, name)
		entries += n
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", name, err))
		}
	}
	return entries, faults, nil
}

func (r *Reader) verify(ctx context.Context, name fileName) (entries int, err error) {
	p, err := r.openPart(ctx, name)
	if err != nil {
		return 0, err
	}
	defer p.close()
	var verdict string
	if err := p.tx.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&verdict); err != nil {
		return 0, err
	}
	if verdict != "ok" {
		return 0, errors.New(verdict)
	}
	err = each(ctx, p.tx, func(rows *sql.Rows) error {
		var id, n int64
		var data []byte
		if err := rows.Scan(&id, &n, &data); err != nil {
			return err
		}
		read := 0
		if err := p.ref.entries(data, func(*entry) { read++ }); err != nil {
			return fmt.Errorf("block %d: %w", id, err)
		}
		if int64(read) != n {
			return fmt.Errorf("block %d: %d entries in place of %d", id, read, n)
		}
		entries += read
		return nil
	}, "SELECT id, n, data FROM block UNION ALL SELECT id, 1, data FROM live")
	return entries, errors.Join(err, p.ref.err)
}

// Prune removes the files of a history that are older than some days, 0 for no bound,
// and the oldest ones until the rest has at most so many bytes, 0 for no bound. The
// last file stays. It returns the names of the removed files. Needs the right to
// write the directory.
func Prune(path string, days int, bytes int64) ([]string, error) {
	r, err := Open(path, time.UTC)
	if err != nil {
		return nil, err
	}
	removed, err := r.dir.prune(time.Now(), days, bytes)
	if err != nil {
		return removed, fmt.Errorf("prune history %s: %w", path, err)
	}
	return removed, nil
}
