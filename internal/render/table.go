package render

import (
	"io"

	"github.com/seed-44df2ae6/whose"
)

// A table renders sessions as rows of aligned cells.
//
// If there are many sessions, other goroutines make the cells, each with a table
// of its own. These only make and measure cells.
type table struct {
	grid
	w      io.Writer
	format string
	opts   Options
	// pipe makes the cells once there are many. makers are its tables.
	pipe   *pipeline
	makers []*table
	// maxNames and maxPIDs are the numbers of owners' names shown, and of process
	// numbers for each. Zero: all.
	maxNames, maxPIDs int
	// groups is room for the owners of one session by name.
	groups []ownerGroup

	// arrow and remote are interdependent columns. Nil: the columns are single
	// fields.
	arrow, remote *column

	// netns is the namespace of the first row; manyNetNS: there is another.
	netns     uint32
	manyNetNS bool
	// listeners counts the listeners before the first other session. mixed: more
	// came after it.
	listeners int
	mixed     bool
}

func newTable(w io.Writer, format string, opts *Options) *table {
	t := &table{w: w, format: format, opts: *opts}
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
	t.note(s)
	t.rows.count++
	if t.pipe != nil {
		return t.pipe.session(s)
	}
	t.rows.add(t.pack(s))
	if t.rows.count == alone && t.parallel() {
		t.startMakers()
	}
	return nil
}

// note updates the facts about the table as a whole with a session.
func (t *table) note(s *whose.Session) {
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

// parallel reports whether cells may be made on other goroutines. The caller's
// own functions may be unfit for it.
func (t *table) parallel() bool {
	return t.opts.Workers > 0 && t.opts.HostName == nil && t.opts.ServiceName == nil
}

// startMakers starts goroutines for all further cells.
func (t *table) startMakers() {
	keep := func(rows []byte) error {
		t.rows.addChunk(rows)
		return nil
	}
	t.pipe = startPipeline(keep, func() encoder {
		maker := newTable(nil, t.format, &t.opts)
		t.makers = append(t.makers, maker)
		return func(dst []byte, s *whose.Session) []byte { return appendRow(dst, maker.pack(s)) }
	}, t.opts.Workers)
}

// endMakers waits for the cells and merges the makers' measurements.
func (t *table) endMakers() {
	if t.pipe == nil {
		return
	}
	t.pipe.close()
	for _, maker := range t.makers {
		for i, col := range t.columns {
			col.merge(maker.columns[i])
		}
	}
	t.pipe, t.makers = nil, nil
}

// Close fits the columns and writes the table. Without rows it writes nothing,
// not even titles. A blank line parts leading listeners from the other sessions.
func (t *table) Close(*whose.Coverage) error {
	t.endMakers()
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
