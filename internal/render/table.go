package render

import (
	"bytes"
	"io"
	"math"
	"sync"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/lots"
)

// A tableFormat writes sessions as rows of aligned cells. It makes and measures
// all cells first, then prints the lines; several goroutines do both.
type tableFormat struct {
	name string
	opts Options
}

// Write writes the table. Without sessions it writes nothing, not even titles.
func (f *tableFormat) Write(w io.Writer, sessions lots.Sessions, _ *whose.Coverage) error {
	return f.made(sessions).print(w)
}

// made makes and measures all cells.
func (f *tableFormat) made(sessions lots.Sessions) *table {
	list := lots.Of(sessions.Len(), lotSize)
	folded, _ := sessions.(*Folded)
	whole := newTable(f.name, &f.opts)
	whole.rows = arena{chunks: make([][]byte, list.Len()), count: sessions.Len()}
	var mu sync.Mutex
	var makers []*table
	lots.Each(list, f.workers(), func() func(lots.Lot) {
		maker, read := newTable(f.name, &f.opts), sessions.Reader()
		maker.folded = folded
		mu.Lock()
		makers = append(makers, maker)
		mu.Unlock()
		return func(l lots.Lot) { whole.rows.chunks[l.No] = maker.lot(l, read) }
	})
	for _, maker := range makers {
		whole.merge(maker)
	}
	return whole
}

// workers is the number of further goroutines. The caller's own functions may be
// unfit for several.
func (f *tableFormat) workers() int {
	if f.opts.HostName != nil || f.opts.ServiceName != nil {
		return 0
	}
	return f.opts.Workers
}

// A table makes the cells of sessions and learns what the columns need. Each
// goroutine has one of its own, and they are merged at the end.
type table struct {
	grid
	opts Options
	// maxNames and maxPIDs are the numbers of owners' names shown, and of process
	// numbers for each. Zero: all.
	maxNames, maxPIDs int
	// groups is room for the owners of one session by name.
	groups []ownerGroup
	packed []byte

	// folded are the sessions where they are folded. folds is the row of the session
	// at hand; nil if it stands for one session.
	folded *Folded
	folds  *foldedRow

	// arrow and remote are interdependent columns, netns is the one of namespaces.
	// Nil: the columns are single fields.
	arrow, remote, netns *column

	// firstNetNS and lastNetNS are the least and the greatest number of a namespace.
	firstNetNS, lastNetNS uint32
	// firstOther and lastListener are the places of the first session that is no
	// listener, and of the last one that is.
	firstOther, lastListener int
}

func newTable(format string, opts *Options) *table {
	t := &table{opts: *opts, firstNetNS: math.MaxUint32, firstOther: math.MaxInt, lastListener: -1}
	switch {
	case opts.Width == 0:
	case opts.Width < 100:
		t.maxNames, t.maxPIDs = 2, 2
	case opts.Width < 160:
		t.maxNames, t.maxPIDs = 3, 4
	default:
		t.maxNames, t.maxPIDs = 4, 8
	}
	if len(opts.Fields) == 0 {
		t.columns = t.standardColumns(format == Wide)
	} else {
		for _, f := range opts.Fields {
			t.columns = append(t.columns, t.fieldColumn(f))
		}
	}
	t.start(opts.NoHeader)
	t.scratch.ascii7 = opts.ASCII
	return t
}

// lot returns the packed rows of a lot of sessions.
func (t *table) lot(l lots.Lot, read func(int) *whose.Session) []byte {
	t.packed = t.packed[:0]
	for i := l.From; i < l.To; i++ {
		s := read(i)
		t.note(i, s)
		if t.folded != nil {
			t.folds = t.folded.rows[i].several()
		}
		t.packed = appendRow(t.packed, t.pack(s))
	}
	return bytes.Clone(t.packed)
}

// differs reports whether a row is of another network namespace than the caller's
// or, where that is not known, than another row.
func (t *table) differs() bool {
	if t.opts.OwnNetNS != 0 {
		return t.netns.used
	}
	return t.firstNetNS < t.lastNetNS
}

// note updates the facts about the table as a whole with a session.
func (t *table) note(place int, s *whose.Session) {
	t.firstNetNS, t.lastNetNS = min(t.firstNetNS, s.NetNS), max(t.lastNetNS, s.NetNS)
	if s.IsListener() {
		t.lastListener = max(t.lastListener, place)
	} else {
		t.firstOther = min(t.firstOther, place)
	}
}

// merge adds the measures of another table.
func (t *table) merge(o *table) {
	t.firstNetNS, t.lastNetNS = min(t.firstNetNS, o.firstNetNS), max(t.lastNetNS, o.lastNetNS)
	t.firstOther, t.lastListener = min(t.firstOther, o.firstOther), max(t.lastListener, o.lastListener)
	for i, col := range t.columns {
		col.merge(o.columns[i])
	}
}

// pack makes the cells of a session and returns them as a packed row, valid
// until the next call.
func (t *table) pack(s *whose.Session) []byte {
	t.row = t.row[:0]
	for _, col := range t.columns {
		c := t.cell()
		col.append(c, s)
		col.measure(c)
		t.row = packCell(t.row, c)
	}
	return t.row
}

// print fits the columns and writes the lines. A blank line parts leading
// listeners from the other sessions.
func (t *table) print(w io.Writer) error {
	if t.arrow != nil && !t.arrow.used && t.opts.Width > 0 {
		// Listeners only: nothing stands between the two ends.
		t.arrow.wanted = func() bool { return false }
		t.remote.gap = 2
	}
	gap := 0
	if len(t.opts.Fields) == 0 && t.lastListener < t.firstOther {
		gap = t.lastListener + 1
	}
	return t.write(w, &t.opts, gap)
}
