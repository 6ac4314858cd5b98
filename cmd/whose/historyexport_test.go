package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/render"
)

// TestExport_Lots writes as many sessions as there are, with the titles once, on
// both sides of the bounds of lots.
func TestExport_Lots(t *testing.T) {
	for _, format := range []string{render.CSV, render.JSONL} {
		for _, n := range []int{0, 1, exportLot - 1, exportLot, exportLot + 1, 3 * exportLot} {
			var out bytes.Buffer
			x := &historyExport{format: format}
			w, err := x.writer(&out, []*whose.Field{whose.FieldByName("cookie"), whose.FieldByName("proto")})
			if err != nil {
				t.Fatal(err)
			}
			s := whose.Session{Proto: whose.TCP} // its memory is used again
			for i := range n {
				s.Cookie = uint64(i + 1)
				if err := w.Add(&s); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			lines := strings.Count(out.String(), "\n")
			if format == render.CSV {
				lines--
				if !strings.HasPrefix(out.String(), "cookie,proto\n") || strings.Count(out.String(), "cookie") != 1 {
					t.Errorf("%d sessions: %.40q", n, out.String())
				}
			}
			cookies := make(map[string]bool)
			for line := range strings.Lines(out.String()) {
				cookies[line] = true
			}
			if lines != n || n > 0 && len(cookies) < n {
				t.Errorf("%s of %d sessions has %d lines, %d of them different", format, n, lines, len(cookies))
			}
		}
	}
}
