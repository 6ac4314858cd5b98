package zabbix

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestSafe(t *testing.T) {
	for in, want := range map[string]string{
		"":                             "",
		"nginx":                        "nginx",
		"Web Content":                  "Web Content",
		`say "hi"`:                     `say "hi"`,
		"{#WHOSE.ID}":                  "(#WHOSE.ID)",
		"{$MACRO:\"x\"}":               "($MACRO:\"x\")",
		"{ITEM.VALUE}":                 "(ITEM.VALUE)",
		"{{#A}.regsub(\"x\",\"\\1\")}": "((#A).regsub(\"x\",\"/1\"))",
		"$1 $x $":                      "S1 $x $",
		"a\nb\x1b[31m\x00":             "a?b?[31m?",
		"ends\\":                       "ends/",
		`dev-by\x2duuid.swap`:          `dev-by\x2duuid.swap`,
		`quote\"`:                      `quote/"`,
		"bad\xff\xc3":                  "bad\ufffd\ufffd",
		"grün 日本":                      "grün 日本",
		"emoji 😀":                      "emoji \ufffd",
		"\u202egnp.exe":                "?gnp.exe",
		"  both ends ":                 "both ends",
		strings.Repeat("é", 200):       strings.Repeat("é", 127),
		strings.Repeat("x", 300):       strings.Repeat("x", 255),
	} {
		if got := Safe(in); got != want {
			t.Errorf("Safe(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzSafe(f *testing.F) {
	for _, seed := range []string{"nginx", "{#A}", "$1\\", `\x2d`, "\xff{", "a\u2028b", " "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := Safe(text)
		switch {
		case !utf8.ValidString(got):
			t.Errorf("Safe(%q) = %q is no UTF-8", text, got)
		case len(got) > maxText:
			t.Errorf("Safe(%q) has %d bytes", text, len(got))
		case strings.ContainsAny(got, "{}\n\r\t\x00\x1b"):
			t.Errorf("Safe(%q) = %q", text, got)
		case strings.HasSuffix(got, `\`) || strings.Contains(got, `\"`):
			t.Errorf("Safe(%q) = %q ends or breaks quotes", text, got)
		case Safe(got) != got:
			t.Errorf("Safe(%q) = %q, but Safe of that is %q", text, got, Safe(got))
		}
	})
}
