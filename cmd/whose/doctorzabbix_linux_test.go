package main

import (
	"slices"
	"testing"
)

// TestParseFileCapabilities reads attributes as setcap writes them: revision 2,
// revision 3 with a namespace's root, and what is cut short.
func TestParseFileCapabilities(t *testing.T) {
	two := []byte{1, 0, 0, 2, 0x04, 0, 0x08, 0, 0, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0}
	want := []string{"CAP_DAC_READ_SEARCH", "CAP_SYS_PTRACE", "CAP_BPF"}
	if got := parseFileCapabilities(two); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := parseFileCapabilities(append(slices.Clone(two), 1, 2, 3, 4)); !slices.Equal(got, want) {
		t.Errorf("with a namespace's root: got %q, want %q", got, want)
	}
	for n := range len(two) {
		if got := parseFileCapabilities(two[:n]); len(got) > len(want) {
			t.Errorf("cut at %d: %q", n, got)
		}
	}
}
