package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// formatVersion is the version of the files. A reader refuses a newer one.
const formatVersion = 1

// schema makes an empty file. The spans of the blocks of the usual size are read from an
// index, which has all of it; of some blocks the sign, and of fewer data. Small blocks are
// the last ones and soon replaced, so they are in no index.
const schema = `
CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE block(id INTEGER PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL, reach INTEGER NOT NULL, n INTEGER NOT NULL,
	small INTEGER NOT NULL, sign BLOB, data BLOB NOT NULL);
CREATE INDEX span ON block(first, last, reach, n) WHERE NOT small;
CREATE TABLE live(id INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE prog(id INTEGER PRIMARY KEY, comm BLOB, exe BLOB, cmdline BLOB, uid INTEGER, user BLOB, unit BLOB, container BLOB, pod BLOB,
	cname BLOB, image BLOB, podname BLOB, podspace BLOB);
CREATE TABLE place(id INTEGER PRIMARY KEY, netns INTEGER, name BLOB, uid INTEGER, user BLOB, device BLOB, scope BLOB, mark INTEGER, unit BLOB, container BLOB);
CREATE TABLE gap(id INTEGER PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL, n INTEGER NOT NULL, cause INTEGER NOT NULL, why BLOB);
`

// afterSealed selects the small blocks: those after the last one of the usual size, which
// is found from the end.
const afterSealed = " FROM block WHERE id > ifnull((SELECT id FROM block WHERE NOT small ORDER BY id DESC LIMIT 1), 0)"

// selectSpans selects the spans of all blocks, selectSigns the signs of those that reach
// into a time. Small blocks have none.
const (
	selectSpans = "SELECT id, first, last, reach, n FROM block WHERE NOT small UNION ALL SELECT id, first, last, reach, n" + afterSealed
	selectSigns = "SELECT id, sign FROM block WHERE id IN (SELECT id FROM block WHERE NOT small AND last >= ? AND reach <= ?)" +
		" UNION ALL SELECT id, sign" + afterSealed
)

// The keys of meta.
const (
	metaVersion = "version"
	metaBegin   = "begin" // when the file was begun
	metaSeen    = "seen"  // until when it is whole: the time of the last commit
	metaDone    = "done"  // 1: the file was left, and its live sessions stood on
	metaBoot    = "boot"  // of which start of the host the live sessions are
	metaHost    = "host"  // the name of the host
)

// A fileName is the name of a file of the history: the day (UTC) of its
// beginning, and its number, which rises.
type fileName struct {
	day    time.Time
	number int
}

const (
	dayLayout = "2006-01-02"
	extension = ".db"
	badSuffix = ".bad"
)

func (n fileName) String() string {
	return fmt.Sprintf("%s-%06d%s", n.day.UTC().Format(dayLayout), n.number, extension)
}

// parseFileName reads the name of a file, false for another file.
func parseFileName(name string) (fileName, bool) {
	base, ok := strings.CutSuffix(name, extension)
	if !ok || len(base) < len(dayLayout)+2 || base[len(dayLayout)] != '-' {
		return fileName{}, false
	}
	day, err := time.Parse(dayLayout, base[:len(dayLayout)])
	number, bad := strconv.ParseUint(base[len(dayLayout)+1:], 10, 31)
	n := fileName{day, int(number)}
	return n, err == nil && bad == nil && n.String() == name
}

// openDB opens a file of SQLite. A file opened to read is not changed.
func openDB(path string, write bool) (*sql.DB, error) {
	q := url.Values{}
	q.Add("_pragma", "busy_timeout(5000)")
	q.Add("_pragma", "cell_size_check(1)")
	q.Add("_pragma", "trusted_schema(0)")
	if write {
		q.Add("mode", "rw")
		q.Add("_pragma", "page_size(8192)")
		q.Add("_pragma", "journal_mode(WAL)")
		q.Add("_pragma", "synchronous(NORMAL)")
		q.Add("_pragma", "wal_autocheckpoint(512)")
		q.Add("_pragma", "journal_size_limit(16777216)")
		q.Add("_txlock", "immediate")
	} else {
		q.Add("mode", "ro")
		q.Add("_pragma", "query_only(1)")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(abs), RawQuery: q.Encode()}
	db, err := sql.Open("sqlite", u.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

// broken reports whether an error says that a file is not whole.
func broken(err error) bool {
	var e *sqlite.Error
	if errors.Is(err, errMalformed) {
		return true
	}
	if !errors.As(err, &e) {
		return false
	}
	code := e.Code() & 0xff
	return code == sqlite3.SQLITE_CORRUPT || code == sqlite3.SQLITE_NOTADB
}

// A querier is a connection or a transaction.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
}

// meta reads a value of the file, the zero value for none.
func meta[T int64 | string](ctx context.Context, q querier, key string) (T, error) {
	var v T
	err := q.QueryRowContext(ctx, "SELECT value FROM meta WHERE key = ?", key).Scan(&v)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return v, err
}

// checkVersion refuses a file of a later version.
func checkVersion(ctx context.Context, q querier) error {
	version, err := meta[int64](ctx, q, metaVersion)
	if err != nil {
		return err
	}
	if version != formatVersion {
		return fmt.Errorf("version %d is not known here, but %d", version, formatVersion)
	}
	return nil
}

// each calls scan for each row of a query.
func each(ctx context.Context, q querier, scan func(*sql.Rows) error, query string, args ...any) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	return eachRow(rows, scan)
}

// eachRow calls scan for each row, and closes the rows.
func eachRow(rows *sql.Rows, scan func(*sql.Rows) error) error {
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
