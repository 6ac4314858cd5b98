package render

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/seed-44df2ae6/whose"
)

// For a terminal without UTF-8 nothing but printable ASCII is written, and still no
// line is too wide.
func TestASCII_Tables(t *testing.T) {
	for name, sessions := range samples() {
		for _, width := range []int{0, 40, 80, 120, 200} {
			for _, format := range []string{Table, Wide} {
				for line := range strings.Lines(rendered(t, format, Options{Width: width, ASCII: true}, sessions)) {
					line = strings.TrimSuffix(line, "\n")
					if !isPlain(line) {
						t.Errorf("%s, %s, %d columns: %q", name, format, width, line)
					}
					checkLine(t, line, width)
				}
			}
		}
	}
	text := rendered(t, Table, Options{Width: 100, ASCII: true}, webHost())
	for _, want := range []string{" -> 127.0.0.1:5432 ", "app 1234 -> postgres 731", "postgres 731 <- app 1234"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	folded, _ := foldedTable(t, Options{Width: 100, ASCII: true}, append(conversation(40000), conversation(40001)...))
	if !strings.Contains(folded, "app 178 -> postgres 151  x2\n") {
		t.Errorf("folded:\n%s", folded)
	}
}

func TestASCII_Events(t *testing.T) {
	for _, width := range []int{0, 50, 80, 160} {
		r, err := NewEvents(Text, EventOptions{Width: width, ASCII: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range hostile() {
			s.Direction, s.Peer = whose.Out, s.Owners
			event := whose.Event{Kind: whose.EventClose, Session: s, Time: started}
			event.Lifetime.Counted = true
			line, err := r.Event(nil, &event)
			if err != nil || bytes.ContainsFunc(line, func(r rune) bool { return r >= utf8.RuneSelf }) {
				t.Errorf("%d columns: %q, %v", width, line, err)
			}
		}
	}
}

func TestASCII(t *testing.T) {
	for text, want := range map[string]string{
		"plain": "plain", "a → b": "a -> b", "… 3 more": "... 3 more", "340 µs": "340 us", "é": `\u00e9`, "🚀": `\U0001f680`, "\xff": `\xff`, "\ufffd": `\ufffd`,
	} {
		if got := ASCII(text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}
