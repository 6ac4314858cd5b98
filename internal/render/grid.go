package render

import (
	"io"

	"github.com/seed-44df2ae6/whose/internal/lots"
)

// A grid is a table in the making. It has columns, and keeps rows as the packed
// text of their cells until the last one has come and every width is known:
// about 80 bytes for a session.
type grid struct {
	columns []*column
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
			c.briefNatural = min(c.natural, len(c.briefly([]byte(c.title))))
		}
	}
}

// write fits the columns and writes titles and rows, or nothing without rows. On
// a terminal it writes a blank line before row number gap; 0 means none. The
// chunks before it then hold lotSize rows each.
func (g *grid) write(w io.Writer, opts *Options, gap int) error {
	if g.rows.count == 0 {
		return nil
	}
	p := printer{opts: opts, all: g.columns, room: opts.Width}
	p.shown = fit(visible(g.columns), p.room)
	if gap > 0 && gap < g.rows.count && opts.Width > 0 {
		p.gap = gap
	}
	if !opts.NoHeader {
		p.header()
	}
	out := frameWriter{w: w, buf: p.buf}
	err := lots.Write(&out, lots.Of(len(g.rows.chunks), 1), opts.Workers, func() lots.Encoder {
		own := p
		own.short = nil
		return func(dst []byte, i int) ([]byte, error) {
			own.buf = dst
			own.chunk(i*lotSize, g.rows.chunks[i])
			return own.buf, nil
		}
	})
	if err != nil {
		return err
	}
	return out.flush()
}

// A printer prints the lines of a grid with fitted columns.
type printer struct {
	opts       *Options
	all, shown []*column
	// room is the greatest width of a line, 0 for no limit.
	room int
	// gap is the row with a blank line before it, 0 for none.
	gap   int
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

// chunk prints the rows of a chunk. The first is row number n.
func (p *printer) chunk(n int, chunk []byte) {
	for row := range rowsOf(chunk) {
		if n == p.gap && n > 0 {
			p.buf = append(p.buf, '\n')
		}
		p.line(row)
		n++
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
		if p.opts.ASCII {
			p.short = cutASCII(p.short)
		}
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

const spaces = "                                                                "

func appendSpaces(dst []byte, n int) []byte {
	for n > len(spaces) {
		dst = append(dst, spaces...)
		n -= len(spaces)
	}
	return append(dst, spaces[:n]...)
}
