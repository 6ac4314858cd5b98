package collect_test

import (
	"fmt"
	"testing"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/lots"
	"github.com/seed-44df2ae6/whose/internal/render"
	"github.com/seed-44df2ae6/whose/internal/tally"
)

// BenchmarkTally counts the sessions of an answer, and feeds them on two
// goroutines.
func BenchmarkTally(b *testing.B) {
	const n = 100_000
	by := []*whose.Field{whose.FieldByName("process"), whose.FieldByName("state")}
	for name, count := range map[string]func(lots.Sessions) error{
		"fed": func(all lots.Sessions) error {
			return lots.Feed(all, 1, func(*whose.Session) error { return nil })
		},
		"host": func(all lots.Sessions) error {
			h := tally.NewHost(tally.HostOptions{})
			defer h.Count()
			return lots.Feed(all, 1, func(s *whose.Session) error {
				h.Add(s)
				return nil
			})
		},
		"count": func(all lots.Sessions) error {
			c := tally.NewCounter(by)
			defer c.Count(0)
			return lots.Feed(all, 1, func(s *whose.Session) error {
				c.Add(s.Row())
				return nil
			})
		},
	} {
		b.Run(fmt.Sprint(name, "/", n), func(b *testing.B) {
			answer := listing(b, n, render.JSON)
			b.ReportAllocs()
			before := cpuTime()
			for b.Loop() {
				if err := count(answer); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(cpuTime()-before)/float64(b.N)/n, "cpu-ns/session")
		})
	}
}
