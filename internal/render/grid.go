package render

import "io"

// A grid is a table in the making: columns, and rows kept as the packed text
// of their cells until the last has come and every width is known, about 80
// bytes for a session.
type grid struct {
	columns []*column
	// whole lets lines be longer than the terminal rather than drop or shorten
	// anything.
	whole   bool
	rows    arena
	row     []byte
	scratch cell
	at      int
}

// cell returns the next cell, empty.
func (g *grid) cell() *cell {
	g.scratch.reset()
	return &g.scratch
}

// add adds a cell to the row; the last of a row completes it.
func (g *grid) add(c *cell) {
	g.columns[g.at].measure(c)
	g.row = packCell(g.row, c)
	if g.at++; g.at == len(g.columns) {
		g.rows.add(g.row)
		g.row, g.at = g.row[:0], 0
	}
}

// start prepares the columns; titles count as cells.
func (g *grid) start(noHeader bool) {
	for _, c := range g.columns {
		c.natural = 1
		if !noHeader {
			c.natural = max(1, len(c.title))
		}
		if c.briefly != nil {
			c.briefNatural = c.natural
		}
	}
}

// write fits the columns and writes titles and rows. Where there is no row it
// writes nothing. A blank line is written before row number gap, if that is
// not 0 and the output goes to a terminal.
func (g *grid) write(w io.Writer, opts *Options, gap int) error {
	if g.rows.count == 0 {
		return nil
	}
	p := printer{w: w, opts: opts, all: g.columns, room: opts.Width}
	if g.whole {
		p.room = 0
	}
	p.shown = fit(visible(g.columns), p.room)
	if !opts.NoHeader {
		p.header()
	}
	i := 0
	for row := range g.rows.all() {
		if i == gap && i > 0 && opts.Width > 0 {
			p.buf = append(p.buf, '\n')
		}
		i++
		if err := p.line(row); err != nil {
			return err
		}
	}
	return p.flush()
}

// A printer writes the lines of a grid whose columns are fitted.
type printer struct {
	w          io.Writer
	opts       *Options
	all, shown []*column
	// room is the width that lines have to fit into, 0 for no limit.
	room  int
	buf   []byte
	short []byte
}

// header writes the titles.
func (p *printer) header() {
	for i, col := range p.shown {
		title := cell{text: []byte(col.title), width: len(col.title), style: strong}
		p.put(i, col, &title)
	}
	p.end()
}

// line writes one row.
func (p *printer) line(row []byte) error {
	at := 0
	for _, col := range p.all {
		var c cell
		c, row = unpackCell(row)
		if at < len(p.shown) && col == p.shown[at] {
			p.put(at, col, &c)
			at++
		}
	}
	p.end()
	if len(p.buf) < flushSize {
		return nil
	}
	return p.flush()
}

var dash = []byte("-")

// put writes a cell with the gap before it, as brief as it has to be, aligned.
// In a pipe no cell is left empty, so that every line has the same words.
func (p *printer) put(i int, col *column, c *cell) {
	if len(c.text) == 0 && !(col.blank && p.opts.Width > 0) {
		c.text, c.width, c.style = dash, 1, faint
	}
	if col.brief {
		c.text = col.briefly(c.text)
		c.width = len(c.text)
	}
	if p.room > 0 && c.width > col.width && col.shorten != nil {
		p.short, c.width = col.shorten(p.short[:0], c.text, col.width)
		c.text = p.short
	}
	gap, pad := col.gap, max(0, col.width-c.width)
	if i == 0 {
		gap = 0
	}
	if col.right {
		gap, pad = gap+pad, 0
	}
	p.buf = appendSpaces(p.buf, gap)
	p.buf = appendStyled(p.buf, c.text, c.style, p.opts.Color)
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
