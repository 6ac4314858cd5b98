package render

import (
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestAppendSafe(t *testing.T) {
	for in, want := range map[string]string{
		"":                         "",
		"nginx":                    "nginx",
		`back\slash "quoted"`:      `back\slash "quoted"`,
		"データベース é ø 👩🏽":            "データベース é ø 👩🏽",
		"e\u0301":                  "e\u0301",
		"\x1b[31mred":              `\x1b[31mred`,
		"a\nb\tc\rd\x00\x7f":       `a\nb\tc\rd\x00\x7f`,
		"\u009b31m\u0085":          `\u009b31m\u0085`,
		"\xff\xc3":                 `\xff\xc3`,
		"\xed\xa0\x80":             `\xed\xa0\x80`, // a surrogate
		"\u202egnp.exe":            `\u202egnp.exe`,
		"\u2066x\u2069":            `\u2066x\u2069`,
		"a\u200bb\u200dc\ufeff":    `a\u200bb\u200dc\ufeff`,
		"\u2028\u2029":             `\u2028\u2029`,
		"\u00a0\u00ad":             `\u00a0\u00ad`,
		"\u3164\uffa0\u115f":       `\u3164\uffa0\u115f`,       // letters that show as nothing
		"\U000e0041":               `\U000e0041`,               // a tag
		"a\ufe0fb\U000e0100\u180b": `a\ufe0fb\U000e0100\u180b`, // variation selectors
		"\u2800\u034f":             `\u2800\u034f`,
		"\ue000\U000f0000":         `\ue000\U000f0000`, // private use
		"\ufffd":                   "\ufffd",           // itself, not a fault
	} {
		if got := string(AppendSafe([]byte("> "), in)); got != "> "+want {
			t.Errorf("AppendSafe(%+q) = %q, want %q", in, got, "> "+want)
		}
		if got := Safe(in); got != want {
			t.Errorf("Safe(%+q) = %q, want %q", in, got, want)
		}
	}
}

func TestAppendSafe_Bounded(t *testing.T) {
	for _, in := range []string{strings.Repeat("x", 1<<20), strings.Repeat("é", 1<<19), strings.Repeat("\xff", 1<<20), strings.Repeat("👩", 1<<18)} {
		got := Safe(in)
		if len(got) > 4*maxText+len("…") || !strings.HasSuffix(got, "…") || !utf8.ValidString(got) {
			t.Errorf("Safe of %d bytes %.4q… has %d bytes, ends in %q", len(in), in, len(got), got[len(got)-8:])
		}
		if strings.HasPrefix(in, "é") && strings.Contains(got, `\`) {
			t.Error("a code point was cut in two")
		}
	}
}

func FuzzAppendSafe(f *testing.F) {
	for _, s := range hostile() {
		f.Add(s.User)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got := Safe(in)
		if !utf8.ValidString(got) {
			t.Fatalf("%q became invalid UTF-8 %q", in, got)
		}
		for _, r := range got {
			if !unicode.IsPrint(r) {
				t.Fatalf("%q became %q with %+q", in, got, r)
			}
		}
		if got == in || len(in) > maxText {
			return
		}
		for _, r := range in {
			if r == utf8.RuneError || !harmless(r) {
				return
			}
		}
		t.Fatalf("%q was harmless and became %q", in, got)
	})
}

// wholeNumbers are a process alone, and the number of folded sessions.
var wholeNumbers = regexp.MustCompile(`^(…|[0-9]+\+?)?(  [×x][0-9]+)?$`)

func FuzzShorten(f *testing.F) {
	f.Add("nginx 812,813 +6", 9)
	f.Add("app 1234 → postgres 812", 12)
	f.Add("(accept queue of nginx 812,813 +6)", 20)
	f.Add("[2001:db8::データ]:65535", 10)
	f.Add("00", 1)
	f.Add("a, b 1", 2)
	f.Add("(accept queue of ", 8)
	f.Fuzz(func(t *testing.T, in string, width int) {
		text := []byte(Safe(in))
		if width < 1 || width >= textWidth(text) {
			return
		}
		for name, shorten := range map[string]shortener{"middle": shortenMiddle, "process": shortenProcess, "endpoint": shortenEndpoint} {
			out, took := shorten(nil, text, width)
			got := string(out)
			if got == "" || !utf8.ValidString(got) {
				t.Errorf("%s: %q in %d columns is %q", name, text, width, got)
			}
			// A port, a process and the number of folded sessions stay whole.
			whole := name == "endpoint" || name == "process" && wholeNumbers.MatchString(got)
			if w := textWidth(out); w != took || took > width && !whole {
				t.Errorf("%s: %q in %d columns is %q, which takes %d and is said to take %d", name, text, width, got, w, took)
			}
		}
		colon := strings.LastIndexByte(string(text), ':')
		short, _ := shortenEndpoint(nil, text, width)
		if colon >= 0 && !strings.HasSuffix(string(short), string(text[colon:])) {
			t.Errorf("%q in %d columns lost its port", text, width)
		}
	})
}
