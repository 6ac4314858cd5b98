package main

import (
	"strings"
	"testing"
)

// A frame never outgrows the screen, and what it leaves out is counted.
func TestFitFrame(t *testing.T) {
	for _, c := range []struct {
		lines  string
		left   int
		height int
		want   string
	}{
		{"T|a|b", 0, 5, "T|a|b"},
		{"T|a|b", 0, 3, "T|a|b"},
		{"T|a||b", 0, 3, "T|a|… 1 more"},
		{"T|a||b", 0, 4, "T|a||b"},
		{"T|a||b", 2, 4, "T|a||… 3 more"},
		{"T|a|b", 7, 4, "T|a|b|… 7 more"},
		{"T|a|b", 0, 1, "T|… 2 more"},
	} {
		got := strings.Join(fitFrame(strings.Split(c.lines, "|"), func(cut int) int { return c.left + cut }, c.height), "|")
		if got != c.want {
			t.Errorf("%s and %d left in %d lines: %s, want %s", c.lines, c.left, c.height, got, c.want)
		}
	}
}
