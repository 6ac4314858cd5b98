package render

import (
	"io"

	"github.com/seed-44df2ae6/whose"
)

// A table renders rows of aligned cells. Widths are known only when the last
// row has come, so rows are kept until then: as the safe text of their cells,
// one after the other in large chunks, about 80 bytes a session.
type table struct {
	w    io.Writer
	opts Options
	cols []*column
	// maxNames and maxPIDs are how many names of owners, and how many numbers
	// of each, are shown. Zero: all.
	maxNames, maxPIDs int

	rows   arena
	cell   cell
	row    []byte
	groups []ownerGroup

	// netns is the namespace of the first row; manyNetNS: there is another.
	netns     uint32
	manyNetNS bool
	// turns counts the changes between listeners and others from row to row.
	turns                       int
	firstListener, lastListener bool
}

func newTable(w io.Writer, format string, opts *Options) *table {
	t := &table{w: w, opts: *opts}
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
		t.cols = t.standardColumns(format == Wide)
	} else {
		for _, f := range opts.Fields {
			t.cols = append(t.cols, fieldColumn(f))
		}
	}
	for _, c := range t.cols {
		if !opts.NoHeader {
			c.natural, c.briefNatural = len(c.title), len(c.title)
		}
		if c.briefly == nil {
			c.briefNatural = 0
		}
		c.natural = max(c.natural, 1)
	}
	return t
}

// Session keeps the cells of one session.
func (t *table) Session(s *whose.Session) error {
	listener := s.IsListener()
	if t.rows.count == 0 {
		t.netns, t.firstListener = s.NetNS, listener
	} else {
		if s.NetNS != t.netns {
			t.manyNetNS = true
		}
		if listener != t.lastListener {
			t.turns++
		}
	}
	t.lastListener = listener

	t.row = append(t.row[:0], 0)
	if listener {
		t.row[0] = 1
	}
	for _, col := range t.cols {
		t.cell.reset()
		col.append(&t.cell, s)
		col.measure(&t.cell)
		t.row = packCell(t.row, &t.cell)
	}
	t.rows.add(t.row)
	return nil
}

// Close fits the columns and writes the table. Nothing is written, and no
// titles either, where there is no row.
func (t *table) Close(*whose.Coverage) error {
	if t.rows.count == 0 {
		return nil
	}
	p := &printer{w: t.w, table: t, shown: fit(visible(t.cols), t.opts.Width)}
	p.header()
	previous := t.firstListener
	parted := t.opts.Width > 0 && len(t.opts.Fields) == 0 && t.firstListener && t.turns == 1
	for row := range t.rows.all() {
		if listener := row[0] != 0; listener != previous {
			if parted {
				p.buf = append(p.buf, '\n')
			}
			previous = listener
		}
		if err := p.line(row[1:]); err != nil {
			return err
		}
	}
	return p.flush()
}

// A printer writes the lines of a table once its columns are fitted.
type printer struct {
	w     io.Writer
	table *table
	shown []*column
	buf   []byte
	short []byte
}

// header writes the titles.
func (p *printer) header() {
	if p.table.opts.NoHeader {
		return
	}
	for i, col := range p.shown {
		title := cell{text: []byte(col.title), width: len(col.title), style: strong}
		if title.width == 0 && !p.leavesBlank(col) {
			title.text, title.width = dash, 1
		}
		if title.width > col.width {
			title.text, title.width = title.text[:col.width], col.width
		}
		p.put(i, col, &title)
	}
	p.end()
}

// line writes one row.
func (p *printer) line(row []byte) error {
	at := 0
	for _, col := range p.table.cols {
		var c cell
		c, row = unpackCell(row)
		if at >= len(p.shown) || col != p.shown[at] {
			continue
		}
		if len(c.text) == 0 && !p.leavesBlank(col) {
			c = cell{text: dash, width: 1, style: faint}
		}
		if col.brief {
			c.text = col.briefly(c.text)
			c.width = len(c.text)
		}
		if c.width > col.width && col.shorten != nil {
			p.short = col.shorten(p.short[:0], c.text, col.width)
			c.text, c.width = p.short, textWidth(p.short)
		}
		p.put(at, col, &c)
		at++
	}
	p.end()
	if len(p.buf) < flushSize {
		return nil
	}
	return p.flush()
}

var dash = []byte("-")

// leavesBlank reports whether a cell without value is left empty. In a pipe
// none is, so that every line has the same words.
func (p *printer) leavesBlank(col *column) bool { return col.blank && p.table.opts.Width > 0 }

// put writes a cell with the gap before it, aligned.
func (p *printer) put(i int, col *column, c *cell) {
	gap, pad := col.gap, max(0, col.width-c.width)
	if i == 0 {
		gap = 0
	}
	if col.right {
		gap, pad = gap+pad, 0
	}
	p.buf = appendSpaces(p.buf, gap)
	p.buf = appendStyled(p.buf, c.text, c.style, p.table.opts.Color)
	p.buf = appendSpaces(p.buf, pad)
}

// end ends the line and takes the padding of its last cell away.
func (p *printer) end() {
	n := len(p.buf)
	for n > 0 && p.buf[n-1] == ' ' {
		n--
	}
	p.buf = append(p.buf[:n], '\n')
}

func (p *printer) flush() error {
	_, err := p.w.Write(p.buf)
	p.buf = p.buf[:0]
	return err
}

const spaces = "                                                                "

func appendSpaces(dst []byte, n int) []byte {
	for n > len(spaces) {
		dst = append(dst, spaces...)
		n -= len(spaces)
	}
	return append(dst, spaces[:n]...)
}
