package bpf

import (
	"testing"
	"time"
)

func TestParseBootOffset(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"": 0, "monotonic           5         0\nboottime      -1000  500000000\n": -1000*time.Second + 500*time.Millisecond,
		"1 5 0\n7 86400 1\n": 24*time.Hour + 1, "boottime x 0\n": 0, "boottime 1\n": 0,
	} {
		if got := parseBootOffset(text); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}
