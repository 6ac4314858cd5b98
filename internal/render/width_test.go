package render

import "testing"

func TestWidth(t *testing.T) {
	for text, want := range map[string]int{
		"":                      0,
		"nginx":                 5,
		"データ":                   6,
		"e\u0301a":              2, // a combining mark
		"👍":                     2,
		"👍🏽":                    2, // with a colour of the skin
		"👨\u200d👩\u200d👧":       2, // a family is one character
		"🇩🇪":                    2,
		"…→↔":                   3,
		Safe("a\x1b[2J\u202eb"): 15, // \x1b[2J and \u202e
	} {
		if got := Width(text); got != want {
			t.Errorf("%q takes %d columns, want %d", text, got, want)
		}
	}
}

func TestCut(t *testing.T) {
	for _, test := range []struct {
		text  string
		width int
		want  string
	}{
		{"nginx", 0, "nginx"},
		{"nginx", 5, "nginx"},
		{"nginx", 4, "ngi…"},
		{"nginx", 1, "…"},
		{"データ", 6, "データ"},
		{"データ", 5, "デー…"},
		{"データ", 4, "デ…"}, // half of a character does not fit
		{"e\u0301clair", 3, "e\u0301c…"},
		{"👨\u200d👩\u200d👧s", 2, "…"},
		{"👨\u200d👩\u200d👧 at home", 5, "👨\u200d👩\u200d👧 a…"},
	} {
		if got := Cut(test.text, test.width); got != test.want {
			t.Errorf("%q in %d columns is %q, want %q", test.text, test.width, got, test.want)
		}
	}
}
