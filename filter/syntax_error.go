package filter

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/seed-44df2ae6/whose"
)

// A SyntaxError is an error in the text of a filter, with its place.
type SyntaxError struct {
	// Text is the whole text; the joined arguments of [ParseArgs].
	Text string
	// Offset is the place in Text, in bytes; len(Text) for its end.
	Offset int
	// Len is the length of the wrong piece in bytes, 0 at the end of Text.
	Len int
	// Msg is the message: `unknown field "prot"; did you mean proto?`.
	Msg string
	// Near is the nearest valid name or spelling, empty for none.
	Near string
}

// Error returns place and message in one line.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("parse filter at offset %d: %s", e.Offset, e.Msg)
}

// caretWidth is how many columns of the text Caret shows at most.
const caretWidth = 76

// Caret returns two lines, the last without a newline: the text, and carets
// below the wrong piece. Of a long text it shows the surroundings of that
// piece. "?" replaces control characters and all others that could deceive a
// terminal, so it may be printed unchanged.
func (e *SyntaxError) Caret() string {
	offset := min(max(e.Offset, 0), len(e.Text))
	end := min(offset+max(e.Len, 0), len(e.Text))
	before := cutLeft(visible(e.Text[:offset]), caretWidth/2)
	piece := cutRight(visible(e.Text[offset:end]), caretWidth-textWidth(before))
	after := cutRight(visible(e.Text[end:]), caretWidth-textWidth(before)-textWidth(piece))
	return before + piece + after + "\n" +
		strings.Repeat(" ", textWidth(before)) + strings.Repeat("^", max(1, textWidth(piece)))
}

// visible returns s fit for a terminal, in one line.
func visible(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case unicode.IsSpace(r):
			r = ' '
		case r == utf8.RuneError && n == 1, !whose.Visible(r):
			r = '?'
		}
		b.WriteRune(r)
		i += n
	}
	return b.String()
}

func textWidth(s string) int {
	width := 0
	for _, r := range s {
		width += runeWidth(r)
	}
	return width
}

// cutLeft shortens s to at most width columns, the end kept.
func cutLeft(s string, width int) string {
	if textWidth(s) <= width {
		return s
	}
	from, have := len(s), 0
	for from > 0 {
		r, n := utf8.DecodeLastRuneInString(s[:from])
		if have += runeWidth(r); have > max(width-1, 0) {
			break
		}
		from -= n
	}
	return "…" + s[from:]
}

// cutRight shortens s to at most width columns, the start kept.
func cutRight(s string, width int) string {
	if textWidth(s) <= width {
		return s
	}
	have := 0
	for i, r := range s {
		if have += runeWidth(r); have > max(width-1, 0) {
			return s[:i] + "…"
		}
	}
	return s
}

// wide are the ranges of characters that take two columns (East Asian Width W
// and F of Unicode, rounded to whole blocks).
var wide = [...][2]rune{
	{0x1100, 0x115f}, {0x2e80, 0x303e}, {0x3041, 0x4dbf}, {0x4e00, 0xa4cf}, {0xa960, 0xa97f},
	{0xac00, 0xd7a3}, {0xf900, 0xfaff}, {0xfe30, 0xfe6f}, {0xff00, 0xff60}, {0xffe0, 0xffe6},
	{0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff}, {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd},
}

// runeWidth returns how many columns r takes on a terminal.
func runeWidth(r rune) int {
	if r < 0x300 {
		return 1
	}
	if unicode.In(r, unicode.Mn, unicode.Me) {
		return 0
	}
	for _, w := range wide {
		if w[0] <= r && r <= w[1] {
			return 2
		}
	}
	return 1
}
