package whose_test

import (
	"testing"
	"unicode"

	"github.com/seed-44df2ae6/whose"
)

// TestVisible goes through all code points: none that Unicode declares ignorable,
// unprintable, or a space is visible, and letters are.
func TestVisible(t *testing.T) {
	visible := 0
	for r := rune(0); r <= unicode.MaxRune; r++ {
		hidden := unicode.In(r, unicode.C, unicode.Z, unicode.Other_Default_Ignorable_Code_Point,
			unicode.Variation_Selector, unicode.Bidi_Control, unicode.Join_Control) && r != ' '
		if whose.Visible(r) == hidden && r != '\u2800' && r != '\U00016fe4' && r != '\U0001d159' && !unassigned(r) {
			t.Errorf("%U: visible %v", r, !hidden)
		}
		if whose.Visible(r) {
			visible++
		}
	}
	if visible < 100_000 {
		t.Errorf("%d code points are visible", visible)
	}
	for _, r := range "\u00ad\u034f\u061c\u115f\u1160\u17b4\u180b\u180e\u200b\u200f\u202e\u2060\u2066\u2800\u3164\ufe00\ufe0f\ufeff\uffa0\ufff9\U0001bca0\U0001d173\U000e0001\U000e0041\U000e0100\U000e01ef\ue000" {
		if whose.Visible(r) {
			t.Errorf("%U is visible", r)
		}
	}
}

func unassigned(r rune) bool {
	return !unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S, unicode.Z, unicode.C)
}
