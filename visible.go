package whose

import "unicode"

// Visible reports whether a code point of text that others choose may be shown as
// itself: it is visible, or marks its neighbour, and does nothing else. Not
// visible are control and format characters, bidirectional overrides, separators
// and spaces but the ASCII one, tags, variation selectors, letters and symbols
// that show as nothing, private and unassigned code points. Every output makes
// these visible in its own way.
func Visible(r rune) bool {
	return ' ' <= r && r < 0x7f || unicode.IsPrint(r) && !unicode.In(r, invisible...) && !blank(r)
}

// invisible are the printable code points that Unicode declares ignorable.
var invisible = []*unicode.RangeTable{unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector}

// blank reports whether a symbol or mark shows as nothing, although Unicode does
// not declare it ignorable.
func blank(r rune) bool {
	switch r {
	case '\u2800', '\U00016fe4', '\U0001d159': // of Braille, Khitan and music
		return true
	}
	return false
}
