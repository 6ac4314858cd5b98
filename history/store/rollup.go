package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seed-44df2ae6/whose"
)

// The roll-up of a file of the history counts its sessions by minute, program, remote
// address, port and direction. It stands in a file of its own beside it, with the same
// name but for the ending, and outlives it.
//
// It is derived: the writer reads blocks that are sealed and written, which never change,
// and adds up their entries (rollwrite.go). One transaction writes the sums of some
// blocks and the number of the last of them. So each entry is counted once, whenever
// the writer is killed: in the pages, or in the blocks after that number. A reader
// takes the pages, and the sessions of those blocks (rollread.go).

// rollExtension is the ending of the name of a roll-up.
const rollExtension = ".rollup"

const rollSchema = `
CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE chunk(upto INTEGER PRIMARY KEY, last INTEGER NOT NULL, n INTEGER NOT NULL);
CREATE TABLE pages(id INTEGER PRIMARY KEY, chunk INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
	reach INTEGER NOT NULL, late INTEGER NOT NULL, n INTEGER NOT NULL, folded INTEGER NOT NULL, head BLOB NOT NULL, data BLOB NOT NULL);
CREATE INDEX span ON pages(chunk, first, last, reach, late, n, folded);
CREATE TABLE prog(id INTEGER PRIMARY KEY, comm BLOB, exe BLOB, cmdline BLOB, uid INTEGER, user BLOB, unit BLOB, container BLOB, pod BLOB,
	cname BLOB, image BLOB, podname BLOB, podspace BLOB);
CREATE TABLE place(id INTEGER PRIMARY KEY, netns INTEGER, name BLOB, uid INTEGER, user BLOB, device BLOB, scope BLOB, mark INTEGER, unit BLOB, container BLOB);
CREATE TABLE gap(id INTEGER PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL, n INTEGER NOT NULL, cause INTEGER NOT NULL, why BLOB);
`

// metaWhole is 1 in a roll-up that has all of its file, to which nothing is added.
const metaWhole = "whole"

// rollup returns the name of the roll-up of a file.
func (n fileName) rollup() string { return strings.TrimSuffix(n.String(), extension) + rollExtension }

func (d dir) joinRollup(n fileName) string { return filepath.Join(d.path, n.rollup()) }

// rollups returns the files that have a roll-up, in the order of their numbers.
func (d dir) rollups() ([]fileName, error) {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return nil, err
	}
	var names []fileName
	for _, e := range entries {
		base, ok := strings.CutSuffix(e.Name(), rollExtension)
		if n, known := parseFileName(base + extension); ok && known && e.Type().IsRegular() {
			names = append(names, n)
		}
	}
	slices.SortFunc(names, func(a, b fileName) int { return a.number - b.number })
	return names, nil
}

// next returns the number of a new file: above those of all files and roll-ups.
func (d dir) next() (int, error) {
	files, err := d.list()
	if err != nil {
		return 0, err
	}
	rollups, err := d.rollups()
	if err != nil {
		return 0, err
	}
	last := 0
	for _, n := range slices.Concat(files, rollups) {
		last = max(last, n.number)
	}
	return last + 1, nil
}

// A rollKey holds the facts that sessions of one row have in common beside the remote
// address.
type rollKey struct {
	// shape has no flags but those of rollFlags.
	shape uint64
	// port is the local one of an accepted session and of a listener, else the remote
	// one.
	port uint16
	// far: the remote end has a port.
	far bool
	// folded says which facts are left out, for want of room.
	folded uint8
	// crew is the number of a list of programs plus one, 0 for none.
	crew, place uint32
}

// Facts that a row is without, since its minute has too many rows.
const (
	foldedRemote = 1 << iota // the remote address
	foldedAll                // the port, the owners and the place, too
)

// rollFlags are the flags of an entry that a roll-up keeps.
const rollFlags = knownOpen | counted | hasTCP

// localSide reports whether the port of an entry is the local one.
func localSide(e *entry, farPort uint16) bool {
	return e.direction == whose.In || e.state == whose.Listen || e.state == whose.Unconn || farPort == 0
}

// rollPlace is what a roll-up keeps of a place.
func rollPlace(p place) place {
	p.mark, p.device, p.scope = 0, "", ""
	return p
}

// rollProg is what a roll-up keeps of a program.
func rollProg(p progKey) progKey {
	p.cmdline = ""
	return p
}

const minute = int64(60_000_000)

// minuteOf returns the minute of a time, counted from 1970.
func minuteOf(us int64) int64 {
	m := us / minute
	if us%minute < 0 {
		m--
	}
	return m
}

// A rollPage is a page without its data.
type rollPage struct {
	id, chunk   int64
	first, last int64 // ends of sessions
	reach, late int64 // their beginnings
	n           int64
	folded      uint8
}

// A rollPart is a roll-up as a question reads it: at one moment.
type rollPart struct {
	part  // without blocks
	whole bool
	upto  int64
	// chunkLast and chunkN are of the block upto.
	chunkLast, chunkN int64
	pages             []rollPage
}

// openRollup opens a roll-up for one question. Where there is none, the error is
// [fs.ErrNotExist].
func (r *Reader) openRollup(ctx context.Context, name fileName) (*rollPart, error) {
	path := r.dir.joinRollup(name)
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	p := &rollPart{part: part{name: name}}
	if err := r.fillRollup(ctx, p, path); err != nil {
		p.close() // the first error counts
		return nil, fmt.Errorf("read %s: %w", name.rollup(), err)
	}
	return p, nil
}

func (r *Reader) fillRollup(ctx context.Context, p *rollPart, path string) error {
	if err := p.open(ctx, path); err != nil {
		return err
	}
	whole, err := meta[int64](ctx, p.tx, metaWhole)
	if err != nil {
		return err
	}
	p.whole = whole != 0
	err = p.tx.QueryRowContext(ctx, "SELECT upto, last, n FROM chunk ORDER BY upto DESC LIMIT 1").Scan(&p.upto, &p.chunkLast, &p.chunkN)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	return each(ctx, p.tx, func(rows *sql.Rows) error {
		var g rollPage
		if err := rows.Scan(&g.id, &g.chunk, &g.first, &g.last, &g.reach, &g.late, &g.n, &g.folded); err != nil {
			return err
		}
		p.pages = append(p.pages, g)
		return nil
	}, "SELECT id, chunk, first, last, reach, late, n, folded FROM pages")
}

// known returns the last end of a session that the roll-up has.
func (p *rollPart) known() int64 {
	last := p.begin
	for i := range p.pages {
		last = max(last, p.pages[i].last)
	}
	return last
}

// isOf reports whether the roll-up is one of the file, with these blocks. After a loss
// of power a file may have fewer than were rolled up.
func (p *rollPart) isOf(blocks []blockRow) bool {
	if p.upto == 0 {
		return true
	}
	i := slices.IndexFunc(blocks, func(b blockRow) bool { return b.id == p.upto })
	return i >= 0 && blocks[i].last == p.chunkLast && int64(blocks[i].n) == p.chunkN
}

// rollupSize returns the bytes of a roll-up, 0 for none.
func (d dir) rollupSize(n fileName) int64 { return sizeOf(d.joinRollup(n)) }

// removeRollup removes a roll-up.
func (d dir) removeRollup(n fileName) error { return removeFile(d.joinRollup(n)) }
