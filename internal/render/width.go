package render

import "github.com/rivo/uniseg"

// Width returns the width of safe text in columns of a screen: two for a wide
// character or an emoji, none for a mark which combines with the one before it.
func Width(text string) int { return uniseg.StringWidth(text) }

// Cut returns safe text in at most width columns. Shortened text ends with "…".
// 0 is no bound.
func Cut(text string, width int) string {
	if width <= 0 || Width(text) <= width {
		return text
	}
	return text[:columns(text, width-1)] + ellipsis
}
