package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Verify reads all files of a history whole, and holds the roll-ups against them. It returns the number of their entries,
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
	rollups, err := r.dir.rollups()
	if err != nil {
		return 0, nil, openError(path, err)
	}
	for _, name := range rollups {
		if err := r.verifyRollup(ctx, name); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", name.rollup(), err))
		}
	}
	return entries, faults, nil
}

// intact asks SQLite whether a file is.
func intact(ctx context.Context, q querier) error {
	var verdict string
	if err := q.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return errors.New(verdict)
	}
	return nil
}

func (r *Reader) verify(ctx context.Context, name fileName) (entries int, err error) {
	p, err := r.openPart(ctx, name)
	if err != nil {
		return 0, err
	}
	defer p.close()
	if err := intact(ctx, p.tx); err != nil {
		return 0, err
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
