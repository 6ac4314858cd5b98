package render

// visible returns the columns to show: the wanted ones, and those for use with
// content only if they have some.
func visible(all []*column) []*column {
	var shown []*column
	for _, c := range all {
		if c.wanted == nil || c.wanted() {
			shown = append(shown, c)
		}
	}
	return shown
}

// fit decides which columns are shown, and their widths, so a line takes no more
// than the given width. Zero means no limit. In this order, until it fits:
//
//  1. columns that are a luxury are dropped (USER);
//  2. long values are written in their short form (ESTAB);
//  3. those columns which can be shortened are, the widest first, down to a
//     width at which they are still easy to read;
//  4. other columns are dropped, the least important first;
//  5. columns are shortened further, to a few characters each.
//
// On a screen too narrow even for that, lines are longer than it.
func fit(cols []*column, width int) []*column {
	for _, c := range cols {
		c.width, c.brief = c.natural, false
	}
	if width == 0 {
		for _, c := range cols {
			c.width = min(c.natural, widestPadded)
		}
		return cols
	}
	if lineWidth(cols) <= width {
		return cols
	}
	cols = drop(cols, width, luxury)
	for _, c := range cols {
		c.brief = lineWidth(cols) > width && c.briefNatural > 0
		c.width = c.wish()
	}
	easy := func(c *column) int { return c.easy }
	for rank := luxury - 1; rank > 0 && !shrink(cols, width, easy); rank-- {
		cols = drop(cols, width, rank)
	}
	if !shrink(cols, width, easy) {
		shrink(cols, width, func(*column) int { return leastWidth })
	}
	return cols
}

// wish is the width at which the column needs no shortening.
func (col *column) wish() int {
	if col.brief {
		return col.briefNatural
	}
	return col.natural
}

// widestPadded is the greatest aligned width without a terminal. A wider cell
// moves the rest of its own line and does not widen all others.
const widestPadded = 120

// leastWidth is the least width of a shortened column: "…:65535" and one more.
const leastWidth = 8

// luxury is the rank of columns dropped before anything is shortened.
const luxury = 9

func lineWidth(cols []*column) int {
	total := 0
	for i, c := range cols {
		total += c.width
		if i > 0 {
			total += c.gap
		}
	}
	return total
}

// drop removes columns of a rank, from the last to the first, until the line
// fits.
func drop(cols []*column, width, rank int) []*column {
	for i := len(cols) - 1; i >= 0 && lineWidth(cols) > width; i-- {
		if cols[i].rank == rank {
			cols = append(cols[:i:i], cols[i+1:]...)
		}
	}
	return cols
}

// shrink gives every column the width of its wish. Then it lowers the widest
// shortenable columns to one level, none below its least width. It reports
// whether the line fits.
func shrink(cols []*column, width int, least func(*column) int) bool {
	for _, c := range cols {
		c.width = c.wish()
	}
	over := lineWidth(cols) - width
	for over > 0 {
		widest := widestOf(cols, least)
		if widest == nil {
			return false
		}
		widest.width--
		over--
	}
	return true
}

// widestOf returns the widest column with room to shorten; of equal ones the
// first.
func widestOf(cols []*column, least func(*column) int) *column {
	var widest *column
	for _, c := range cols {
		if c.shorten != nil && c.width > least(c) && (widest == nil || c.width-c.favour > widest.width-widest.favour) {
			widest = c
		}
	}
	return widest
}
