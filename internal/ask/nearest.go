package ask

import "strings"

// Nearest returns the most likely intention behind typed, "" if no word is like
// it: the word with typed at its beginning, or the one fewest edits away.
func Nearest(typed string, words []string) string {
	typed = strings.ToLower(typed)
	best, most := "", 1+min(2, len(typed)/2)
	for _, w := range words {
		lower := strings.ToLower(w)
		if len(typed) > 1 && strings.HasPrefix(lower, typed) {
			return w
		}
		if d := edits(typed, lower); d < most {
			best, most = w, d
		}
	}
	return best
}

// edits counts the letters to insert, delete, replace or swap with their
// neighbour to turn a into b.
func edits(a, b string) int {
	var before, last, row []int
	for j := range len(b) + 1 {
		last = append(last, j)
	}
	for i := range len(a) {
		row = append(make([]int, 0, len(b)+1), i+1)
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			d := min(last[j]+cost, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				d = min(d, before[j-1]+1)
			}
			row = append(row, d)
		}
		before, last = last, row
	}
	return last[len(b)]
}
