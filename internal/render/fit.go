package render

import "slices"

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
//  2. states are written in their short form (ESTAB), then protocols;
//  3. names are shortened, the widest column first, as far as they are easy to
//     read, then addresses longer than those of IPv4, then names once more;
//  4. less important columns are dropped, the protocol among them;
//  5. names are shortened further, to a word and a number, or to both ends of a
//     session;
//  6. addresses are shortened, as far as they may still be recognized;
//  7. names are shortened to a few characters each;
//  8. the direction and the state are dropped;
//  9. addresses are shortened to a few characters;
//  10. the network namespace is dropped.
//
// Numbers of processes and ports are never shortened. On a screen too narrow even
// for that, lines are longer than it.
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
	abbreviate(cols, width)
	steps := shrinking{{false, easyWidth}, {true, wholeIPv4}, {false, fairWidth}}
	for rank := luxury - 1; rank >= rankProto && !steps.shrink(cols, width); rank-- {
		cols = drop(cols, width, rank)
	}
	steps = append(steps, step{false, wordWidth}, step{true, knownWidth}, step{false, leastOf})
	for rank := rankProto - 1; rank > rankNetNS && !steps.shrink(cols, width); rank-- {
		cols = drop(cols, width, rank)
	}
	steps = append(steps, step{true, leastOf})
	if !steps.shrink(cols, width) {
		cols = drop(cols, width, rankNetNS)
		steps.shrink(cols, width)
	}
	return cols
}

// abbreviate writes columns in their short form until the line fits: the states
// before the protocols.
func abbreviate(cols []*column, width int) {
	for _, c := range slices.Backward(cols) {
		if lineWidth(cols) <= width {
			return
		}
		c.brief = c.briefNatural > 0
		c.width = c.wish()
	}
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

// The widths to which columns are shortened, one after the other. None is less
// than a number in the column.
func easyWidth(c *column) int  { return max(c.easy, c.number) }
func fairWidth(c *column) int  { return max(min(c.easy, 16), c.number, c.whole) }
func wordWidth(c *column) int  { return max(min(c.easy, 12), c.number, c.whole) }
func leastOf(c *column) int    { return max(leastWidth, c.number) }
func knownWidth(c *column) int { return min(c.easy, max(13, c.number)) }

// wholeIPv4 is the width at which the addresses of IPv4 are whole.
func wholeIPv4(c *column) int { return max(13, c.short, c.number) }

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

// shrinking are the steps by which columns are shortened, one after the other.
type shrinking []step

// A step lowers the widest columns to one level, none below its least width:
// addresses if late, else the others.
type step struct {
	late  bool
	least func(*column) int
}

// shrink gives every column the width of its wish, then takes the steps until the
// line fits. It reports whether it does.
func (steps shrinking) shrink(cols []*column, width int) bool {
	for _, c := range cols {
		c.width = c.wish()
	}
	over := lineWidth(cols) - width
	for _, s := range steps {
		for ; over > 0; over-- {
			widest := s.widest(cols)
			if widest == nil {
				break
			}
			widest.width--
		}
	}
	return over <= 0
}

// widest returns the widest column of the step with room to shorten; of equal ones
// the first.
func (s step) widest(cols []*column) *column {
	var widest *column
	for _, c := range cols {
		if c.shorten != nil && c.late == s.late && c.width > s.least(c) && (widest == nil || c.width-c.favour > widest.width-widest.favour) {
			widest = c
		}
	}
	return widest
}
