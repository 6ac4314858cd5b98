package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/history"
	"github.com/seed-44df2ae6/whose/internal/folder"
)

// A Reader answers questions from the files of a directory, while a writer may
// write them. Whoever calls [Open] closes it. It is not safe for concurrent use.
type Reader struct {
	dir  dir
	zone *time.Location
}

var _ history.Source = (*Reader)(nil)

// Open opens the history of a directory for reading. Needs the right to read it.
// Times of answers are in the zone, nil for the local one.
func Open(path string, zone *time.Location) (*Reader, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, openError(path, err)
	}
	if zone == nil {
		zone = time.Local
	}
	r := &Reader{dir{abs}, zone}
	names, err := r.dir.list()
	if err == nil {
		err = folder.Check(r.dir.path)
	}
	if err != nil {
		return nil, openError(path, err)
	}
	if len(names) == 0 {
		return nil, openError(path, fs.ErrNotExist)
	}
	return r, nil
}

// Close releases the reader. It holds no file between two questions.
func (r *Reader) Close() error { return nil }

// A part is one file as a question reads it: at one moment.
type part struct {
	name fileName
	db   *sql.DB
	tx   *sql.Tx
	ref  *reference
	// begin and end bound the times of the file. done: the next file goes on.
	begin, end int64
	done       bool
	blocks     []blockRow
	host       string
}

// A blockRow is a block without its data.
type blockRow struct {
	id                 int64
	first, last, reach int64
	n                  int
}

func (p *part) close() {
	if p.tx != nil {
		_ = p.tx.Rollback() // nothing was written
	}
	if p.db != nil {
		_ = p.db.Close()
	}
}

// slack is how far the file may be behind the present while it is written.
func (p *part) slack() int64 {
	if p.done {
		return 0
	}
	return stale
}

// openPart opens a file for one question.
func (r *Reader) openPart(ctx context.Context, name fileName) (*part, error) {
	p := &part{name: name}
	if err := r.fillPart(ctx, p); err != nil {
		p.close() // the first error counts
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return p, nil
}

func (r *Reader) fillPart(ctx context.Context, p *part) error {
	if err := p.open(ctx, r.dir.join(p.name)); err != nil {
		return err
	}
	return each(ctx, p.tx, func(rows *sql.Rows) error {
		var b blockRow
		if err := rows.Scan(&b.id, &b.first, &b.last, &b.reach, &b.n); err != nil {
			return err
		}
		p.blocks = append(p.blocks, b)
		return nil
	}, selectSpans)
}

// open begins to read a file.
func (p *part) open(ctx context.Context, path string) (err error) {
	if p.db, err = openDB(path, false); err != nil {
		return err
	}
	if p.tx, err = p.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true}); err != nil {
		return err
	}
	if err := checkVersion(ctx, p.tx); err != nil {
		return err
	}
	for key, to := range map[string]*int64{metaBegin: &p.begin, metaSeen: &p.end} {
		if *to, err = meta[int64](ctx, p.tx, key); err != nil {
			return err
		}
	}
	done, err := meta[int64](ctx, p.tx, metaDone)
	if err != nil {
		return err
	}
	if p.host, err = meta[string](ctx, p.tx, metaHost); err != nil {
		return err
	}
	p.done, p.ref = done != 0, newReference(ctx, p.tx)
	return nil
}

// parts opens the files that may have something of a time, in the order of their
// numbers: those of the time, and the later ones, in which sessions of that time may
// have ended. A file that cannot be read is a gap.
func (r *Reader) parts(ctx context.Context, from, to int64, gaps *whose.Gaps) ([]*part, error) {
	names, err := r.dir.list()
	if err != nil {
		return nil, openError(r.dir.path, err)
	}
	var all []*part
	for i, name := range names {
		if inOrder(names) && !mayHold(names, i, from) {
			continue
		}
		p, err := r.openPart(ctx, name)
		switch {
		case err == nil && (len(all) > 0 || p.end+p.slack() >= from):
			all = append(all, p)
		case err == nil:
			p.close() // it ended before
		case ctx.Err() != nil:
			closeParts(all)
			return nil, ctx.Err()
		case errors.Is(err, fs.ErrNotExist): // removed just now
		default:
			gaps.Add(whose.Gap{Kind: whose.GapTime, Cause: whose.CauseFailed, Detail: err.Error(), From: name.day.In(r.zone), To: name.day.Add(24 * time.Hour).In(r.zone)})
		}
	}
	return all, nil
}

func closeParts(all []*part) {
	for _, p := range all {
		p.close()
	}
}

// inOrder reports whether the days of the files rise, as they do unless the clock
// was set back.
func inOrder(names []fileName) bool {
	return slices.IsSortedFunc(names, func(a, b fileName) int { return a.day.Compare(b.day) })
}

// mayHold reports by the names of files whether one may have something from a time
// on: it ends where the next begins, which may be a day after that one's name.
func mayHold(names []fileName, i int, from int64) bool {
	return i+1 == len(names) || micros(names[i+1].day.Add(24*time.Hour)) >= from
}

// gaps adds the gaps in a time. Beyond the files nothing is known.
func (r *Reader) gaps(ctx context.Context, parts []*part, from, to int64, gaps *whose.Gaps) error {
	first, last, some := int64(0), int64(0), false
	for i, p := range parts {
		if p.begin > to {
			continue // it is here for the ends of sessions
		}
		if !some || p.begin < first {
			first = p.begin
		}
		some = true
		last = max(last, p.end)
		if i > 0 && p.begin > parts[i-1].end && !parts[i-1].done {
			r.addTime(gaps, gap{first: parts[i-1].end, last: p.begin, cause: whose.CauseDown, why: whyDown}, from, to)
		}
		noted, err := p.gaps(ctx)
		if err != nil {
			return err
		}
		for _, g := range noted {
			r.addTime(gaps, g, from, to)
		}
	}
	switch {
	case !some:
		gaps.Add(whose.Gap{Kind: whose.GapTime, Cause: whose.CauseDown, Detail: "no file has this time", From: r.time(from), To: r.time(to)})
	default:
		if first > from {
			gaps.Add(whose.Gap{Kind: whose.GapTime, Cause: whose.CauseDown, Detail: "history begins then", To: r.time(first)})
		}
		if last+stale < to {
			gaps.Add(whose.Gap{Kind: whose.GapTime, Cause: whose.CauseDown, Detail: "history ends then", From: r.time(last)})
		}
	}
	return nil
}

// gaps returns the gaps that the file notes.
func (p *part) gaps(ctx context.Context) ([]gap, error) {
	var all []gap
	err := each(ctx, p.tx, func(rows *sql.Rows) error {
		var g gap
		var why sql.RawBytes
		if err := rows.Scan(&g.first, &g.last, &g.n, &g.cause, &why); err != nil {
			return err
		}
		g.why = string(why)
		all = append(all, g)
		return nil
	}, "SELECT first, last, n, cause, why FROM gap ORDER BY id")
	return all, err
}

// stale is how old the end of a history may be while an agent writes it.
const stale = int64((heartbeat + 2*time.Second) / time.Microsecond)

// addTime adds a gap of a file, cut to the time of the question.
func (r *Reader) addTime(gaps *whose.Gaps, g gap, from, to int64) {
	whole := whose.Gap{Kind: whose.GapTime, Cause: g.cause, Detail: g.why, From: r.time(max(g.first, from)), To: r.time(min(g.last, to))}
	if g.n > 0 {
		whole.Kind, whole.Count = whose.GapEvents, int(g.n)
	}
	if g.last >= from && g.first <= to {
		gaps.Add(whole)
	}
}

func (r *Reader) time(us int64) time.Time { return fromMicros(us).In(r.zone) }

// Until returns the time of the last commit.
func (r *Reader) Until(ctx context.Context) (time.Time, error) {
	names, err := r.dir.list()
	if err == nil && len(names) == 0 {
		err = fs.ErrNotExist
	}
	if err != nil {
		return time.Time{}, openError(r.dir.path, err)
	}
	p, err := r.openPart(ctx, names[len(names)-1])
	if err != nil {
		return time.Time{}, err
	}
	defer p.close()
	return r.time(p.end), nil
}

// Overview describes the history.
func (r *Reader) Overview(ctx context.Context) (*history.Overview, error) {
	o := &history.Overview{Bytes: r.dir.bytes()}
	const always = int64(1) << 62
	parts, err := r.parts(ctx, -always, always, &o.Gaps)
	if err != nil {
		return nil, err
	}
	defer closeParts(parts)
	o.Files = len(parts)
	if o.Rollup, err = r.rollupOverview(ctx); err != nil {
		return nil, err
	}
	for i, p := range parts {
		if begin := r.time(p.begin); i == 0 || begin.Before(o.From) {
			o.From = begin
		}
		if end := r.time(p.end); end.After(o.To) {
			o.To = end
		}
		for _, b := range p.blocks {
			o.Sessions += b.n
		}
		o.Host = p.host
	}
	if len(parts) > 0 {
		last := parts[len(parts)-1]
		if err := last.tx.QueryRowContext(ctx, "SELECT count(*) FROM live").Scan(&o.Live); err != nil {
			return nil, fmt.Errorf("read %s: %w", last.name, err)
		}
		if err := r.gaps(ctx, parts, micros(o.From), micros(o.To), &o.Gaps); err != nil {
			return nil, err
		}
	}
	return o, nil
}
