package fleet

import (
	"context"
	"fmt"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/integrations/clickhouse"
)

// An Upgrade is what [Store.Init] did.
type Upgrade struct {
	// Database is the name of the database.
	Database string `json:"database"`
	// From is the number of the newest step that had been taken before, 0 for none; To
	// is that of the newest now.
	From int `json:"from"`
	To   int `json:"to"`
	// Done are the names of the steps that were taken.
	Done []string `json:"done"`
	// NoRoles is why the roles were not made; nil where they were. The server keeps its
	// users in files, or the user may not make roles. The tables work all the same.
	NoRoles error `json:"-"`
}

// stepTable notes which steps were taken.
const stepTable = `CREATE TABLE IF NOT EXISTS {db}.step
(number UInt32, name String, at DateTime DEFAULT now()) ENGINE = MergeTree ORDER BY number`

// Init makes the tables, or brings those of an older version to the newest shape. It
// removes nothing, and does nothing where all is done. A step that fails is taken again
// by the next Init: all of its statements may be run twice.
func (s *Store) Init(ctx context.Context) (*Upgrade, error) {
	all, err := clickhouse.Migrations()
	if err != nil {
		return nil, err
	}
	for _, statement := range []string{"CREATE DATABASE IF NOT EXISTS {db}", stepTable} {
		if err := s.exec(ctx, statement); err != nil {
			return nil, fmt.Errorf("make the database %s: %w", s.db, err)
		}
	}
	u := &Upgrade{Database: s.db, Done: []string{}}
	if u.From, err = s.step(ctx); err != nil {
		return nil, err
	}
	u.To = u.From
	for _, m := range all {
		if m.Number <= u.From {
			continue
		}
		for _, statement := range m.Statements {
			if err := s.exec(ctx, statement); err != nil {
				return u, stepError(&m, err)
			}
		}
		if err := s.exec(ctx, fmt.Sprintf("INSERT INTO {db}.step (number, name) VALUES (%d, '%s')", m.Number, m.Name)); err != nil {
			return u, stepError(&m, err)
		}
		u.To, u.Done = m.Number, append(u.Done, m.Name)
	}
	u.NoRoles = s.roles(ctx)
	if last := len(all); u.From > last {
		return u, fmt.Errorf("the tables of %s are newer (step %d) than this whose knows (%d)", s.db, u.From, last)
	}
	return u, nil
}

// roles makes the roles, where they can be made.
func (s *Store) roles(ctx context.Context) error {
	all, err := clickhouse.Roles()
	if err != nil {
		return err
	}
	for _, statement := range all {
		if err := s.exec(ctx, statement); err != nil {
			return fmt.Errorf("make the roles: %w", err)
		}
	}
	return nil
}

// step is the number of the newest step that was taken.
func (s *Store) step(ctx context.Context) (n int, err error) {
	err = rows(ctx, s, "SELECT max(number) AS number FROM step", nil, func(r *struct{ Number int }) error {
		n = r.Number
		return nil
	})
	return n, err
}

func stepError(m *clickhouse.Migration, err error) error {
	err = fmt.Errorf("take the step %s: %w", m.Name, err)
	if hasCode(err, codeNoRight) {
		return whose.WithHint(err, "the user of ClickHouse who runs it may make databases and tables")
	}
	return err
}
