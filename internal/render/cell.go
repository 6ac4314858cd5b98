package render

import (
	"strconv"

	"github.com/rivo/uniseg"
)

// A cell is one cell of a table while it is built: safe text, its width in
// columns of a screen, and its style.
type cell struct {
	text  []byte
	width int
	style style
	// least is the least width of a pair of ends that still says who both are, 0 of
	// another cell.
	least int
	// ascii7: the terminal has no UTF-8.
	ascii7 bool
}

func (c *cell) reset() { *c = cell{text: c.text[:0], ascii7: c.ascii7} }

// ascii appends printable ASCII text of our own.
func (c *cell) ascii(s string) {
	c.text = append(c.text, s...)
	c.width += len(s)
}

// mark appends one code point of our own, one column wide: an arrow.
func (c *cell) mark(s string) {
	if c.ascii7 {
		c.ascii(ASCII(s))
		return
	}
	c.text = append(c.text, s...)
	c.width++
}

func (c *cell) uint(n uint64) {
	start := len(c.text)
	c.text = strconv.AppendUint(c.text, n, 10)
	c.width += len(c.text) - start
}

// safe appends text of foreign origin and makes it safe.
func (c *cell) safe(s string) {
	if isPlain(s) && len(s) <= maxText {
		c.ascii(s)
		return
	}
	start := len(c.text)
	c.text = AppendSafe(c.text, s)
	if c.ascii7 {
		c.text = appendASCII(c.text[:start], string(c.text[start:]))
	}
	c.width += textWidth(c.text[start:])
}

// textWidth returns the width of safe text in columns of a screen.
func textWidth(text []byte) int {
	if isASCII(text) {
		return len(text)
	}
	return uniseg.StringWidth(string(text))
}

func isASCII(text []byte) bool {
	for _, b := range text {
		if b >= 0x80 {
			return false
		}
	}
	return true
}

// packCell appends a cell to a packed row: length, style, the width where it
// differs from the length, then the text.
func packCell(dst []byte, c *cell) []byte {
	head := uint64(len(c.text))<<4 | uint64(c.style)<<1
	if c.width != len(c.text) {
		dst = appendUvarint(dst, head|1)
		dst = appendUvarint(dst, uint64(c.width))
	} else {
		dst = appendUvarint(dst, head)
	}
	return append(dst, c.text...)
}

// unpackCell takes the first cell off a packed row. The text shares the row's
// memory.
func unpackCell(row []byte) (c cell, rest []byte) {
	head, row := takeUvarint(row)
	n := int(head >> 4)
	c.style = style(head >> 1 & 7)
	c.width = n
	if head&1 != 0 {
		var w uint64
		w, row = takeUvarint(row)
		c.width = int(w)
	}
	c.text = row[:n:n]
	return c, row[n:]
}

func appendUvarint(dst []byte, n uint64) []byte {
	for n >= 0x80 {
		dst = append(dst, byte(n)|0x80)
		n >>= 7
	}
	return append(dst, byte(n))
}

func takeUvarint(row []byte) (uint64, []byte) {
	if row[0] < 0x80 {
		return uint64(row[0]), row[1:]
	}
	var n uint64
	for i, b := range row {
		n |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			return n, row[i+1:]
		}
	}
	return n, nil
}
