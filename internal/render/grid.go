package render

import (
	"io"
	"sync"
)

// A grid is a table in the making. It has columns, and keeps rows as the packed
// text of their cells until the last one has come and every width is known:
// about 80 bytes for a session.
type grid struct {
	columns []*column
	// whole lets lines exceed the terminal and drops or shortens nothing.
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

// add adds a cell to the row. The last cell completes the row.
func (g *grid) add(c *cell) {
	g.columns[g.at].measure(c)
	g.row = packCell(g.row, c)
	if g.at++; g.at == len(g.columns) {
		g.rows.add(g.row)
		g.rows.count++
		g.row, g.at = g.row[:0], 0
	}
}

// start prepares the columns. Titles count as cells.
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

// write fits the columns and writes titles and rows, or nothing without rows. On
// a terminal it writes a blank line before row number gap; 0 means none.
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
	if gap > 0 && gap < g.rows.count && opts.Width > 0 {
		for range gap {
			p.line(g.rows.take())
		}
		p.buf = append(p.buf, '\n')
	}
	if err := p.flush(); err != nil {
		return err
	}
	return p.lines(g.rows.chunks, opts.Workers)
}

// A printer writes the lines of a grid with fitted columns.
type printer struct {
	w          io.Writer
	opts       *Options
	all, shown []*column
	// room is the greatest width of a line, 0 for no limit.
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

// lot is the number of bytes of rows printed by a goroutine at once.
const lot = 256 << 10

// cutLot splits the next lot from the rest: whole chunks, at least one.
func cutLot(chunks [][]byte) (first, rest [][]byte) {
	size, n := 0, 0
	for n < len(chunks) && (n == 0 || size+len(chunks[n]) <= lot) {
		size += len(chunks[n])
		n++
	}
	return chunks[:n], chunks[n:]
}

// lines writes all rows. If there are many, several goroutines print lots of
// them.
func (p *printer) lines(chunks [][]byte, workers int) error {
	if _, rest := cutLot(chunks); len(rest) == 0 {
		workers = 0
	}
	printers := make([]printer, 1+workers)
	for i := range printers {
		printers[i] = *p
		printers[i].buf, printers[i].short = nil, nil
	}
	for len(chunks) > 0 {
		var lots sync.WaitGroup
		for i := range printers {
			var mine [][]byte
			mine, chunks = cutLot(chunks)
			if i == len(printers)-1 {
				printers[i].chunks(mine)
				break
			}
			lots.Go(func() { printers[i].chunks(mine) })
		}
		lots.Wait()
		for i := range printers {
			if err := printers[i].flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// chunks prints the rows of some chunks.
func (p *printer) chunks(chunks [][]byte) {
	for _, chunk := range chunks {
		for row := range rowsOf(chunk) {
			p.line(row)
		}
	}
}

// line prints one row.
func (p *printer) line(row []byte) {
	at := 0
	for _, col := range p.all {
		if at == len(p.shown) {
			break
		}
		var c cell
		c, row = unpackCell(row)
		if col == p.shown[at] {
			p.put(at, col, &c)
			at++
		}
	}
	p.end()
}

var dash = []byte("-")

// put writes a cell with the gap before it, aligned, in its short form if the
// column is brief. In a pipe no cell is empty, so every line has the same words.
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

// end ends the line and removes the padding of its last cell.
func (p *printer) end() {
	n := len(p.buf)
	for n > 0 && p.buf[n-1] == ' ' {
		n--
	}
	p.buf = append(p.buf[:n], '\n')
}

func (p *printer) flush() error {
	if len(p.buf) == 0 {
		return nil
	}
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
