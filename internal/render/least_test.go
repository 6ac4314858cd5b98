package render

import (
	"math/rand/v2"
	"testing"

	"github.com/seed-44df2ae6/whose"
)

// TestCell_Least makes the cells of sessions with any owners at either end. The least
// width that was added up is that of the text, as a shortener reads it: it leaves out
// nobody at that width.
func TestCell_Least(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 2))
	names := []string{"a", "nginx", "python3.11", "kworker/0:1 5", `say "hi"`, "a, b", "データ", "(x)", "+5", "", "x → y"}
	owners := func(most int) []whose.Owner {
		var all []whose.Owner
		for range r.IntN(most + 1) {
			all = append(all, whose.Owner{Process: process(uint32(r.IntN(1<<r.IntN(23)))+1, names[r.IntN(len(names))])})
		}
		return all
	}
	pairs, reasons := 0, 0
	for _, width := range []int{60, 120, 200} {
		for _, ascii := range []bool{false, true} {
			for n := range 5000 {
				table := newTable(Table, &Options{Width: width, ASCII: ascii})
				s := session(whose.TCP, whose.Established, "127.0.0.1:1", "127.0.0.1:2")
				s.Owners, s.Peer = owners(1+n%30), owners(1+n%7)
				switch {
				case n%5 == 0:
					s.Reason = whose.ReasonAcceptQueue
				case len(s.Owners) == 0 && n%2 == 0:
					s.Reason, s.Unit = whose.ReasonHidden, "nginx.service"
				}
				if n%3 == 0 {
					table.folds = &foldedRow{times: 1 + r.Uint32N(2000)}
				}
				c := table.cell()
				table.processCell(c, &s)
				want := 0
				if text, times := cutTimes(c.text); len(s.Peer) > 0 {
					at, sep := findArrow(text)
					want = leastEnd(text[:at]) + markWidth(sep) + leastEnd(text[at+len(sep):]) + textWidth(times)
					pairs++
				}
				if c.least != want {
					t.Fatalf("%q at width %d: least width %d, want %d", c.text, width, c.least, want)
				}
				if s.Reason != whose.ReasonNone && want > 0 {
					reasons++
				}
			}
		}
	}
	if pairs < 1000 || reasons < 1000 {
		t.Errorf("%d pairs, %d with a reason: too few", pairs, reasons)
	}
}
