package store

import (
	"context"
	"database/sql"
	"errors"
)

// A conn is the connection by which a file is written. Each statement is prepared
// once: preparing one takes longer than running it.
type conn struct {
	*sql.Conn
	prepared map[string]*sql.Stmt
	open     bool // within a transaction
}

// exec runs one of the statements of this package.
func (c *conn) exec(ctx context.Context, query string, args ...any) error {
	stmt := c.prepared[query]
	if stmt == nil {
		var err error
		if stmt, err = c.PrepareContext(ctx, query); err != nil {
			return err
		}
		c.prepared[query] = stmt
	}
	_, err := stmt.ExecContext(ctx, args...)
	if err == nil && query == "BEGIN IMMEDIATE" {
		c.open = true
	}
	return err
}

func (c *conn) commit(ctx context.Context) error {
	err := c.exec(ctx, "COMMIT")
	if err == nil {
		c.open = false
	}
	return err
}

// rollback ends a transaction that was not committed.
func (c *conn) rollback() {
	if c.open {
		c.open = false
		// SQLite may have done it already, as it does when the disk is full.
		_, _ = c.ExecContext(context.Background(), "ROLLBACK")
	}
}

func (c *conn) close() error {
	var errs []error
	for _, stmt := range c.prepared {
		errs = append(errs, stmt.Close())
	}
	return errors.Join(append(errs, c.Conn.Close())...)
}
