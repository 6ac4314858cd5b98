package render

import (
	"io"

	"github.com/seed-44df2ae6/whose"
)

// A table renders sessions as rows of aligned cells.
type table struct {
	grid
	w    io.Writer
	opts Options
	// maxNames and maxPIDs are how many names of owners, and how many numbers
	// of each, are shown. Zero: all.
	maxNames, maxPIDs int
	// groups is room for the owners of one session by name.
	groups []ownerGroup

	// arrow and remote are columns that depend on each other; nil where the
	// columns are single fields.
	arrow, remote *column

	// netns is the namespace of the first row; manyNetNS: there is another.
	netns     uint32
	manyNetNS bool
	// listeners counts the listeners before the first other session; mixed
	// tells that more came after it.
	listeners int
	mixed     bool
}

func newTable(w io.Writer, format string, opts *Options) *table {
	t := &table{w: w, opts: *opts}
	switch {
	case opts.Width == 0:
	case format == Wide:
		t.whole, t.maxNames, t.maxPIDs = true, 4, 8
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
			t.columns = append(t.columns, fieldColumn(f))
		}
	}
	t.start(opts.NoHeader)
	return t
}

// Session keeps the cells of one session.
func (t *table) Session(s *whose.Session) error {
	if t.rows.count == 0 {
		t.netns = s.NetNS
	}
	t.manyNetNS = t.manyNetNS || s.NetNS != t.netns
	if s.IsListener() {
		if t.listeners == t.rows.count {
			t.listeners++
		} else {
			t.mixed = true
		}
	}
	for _, col := range t.columns {
		c := t.cell()
		col.append(c, s)
		t.add(c)
	}
	return nil
}

// Close fits the columns and writes the table. Nothing is written, and no
// titles either, where there is no row. Listeners that come first are parted
// from the other sessions.
func (t *table) Close(*whose.Coverage) error {
	if t.arrow != nil && !t.arrow.used && t.opts.Width > 0 {
		// Listeners only: nothing stands between the two ends.
		t.arrow.wanted = func() bool { return false }
		t.remote.gap = 2
	}
	gap := 0
	if len(t.opts.Fields) == 0 && !t.mixed {
		gap = t.listeners
	}
	return t.write(t.w, &t.opts, gap)
}
