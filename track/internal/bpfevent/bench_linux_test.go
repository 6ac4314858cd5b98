package bpfevent

import (
	"testing"

	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// BenchmarkOpen is what a tracker waits for before it hears of anything. Cold
// starts are the first of a process: run it with -benchtime 1x, again and again.
func BenchmarkOpen(b *testing.B) {
	testenv.NeedRoot(b)
	for b.Loop() {
		s, err := Open(Config{Text: true})
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
