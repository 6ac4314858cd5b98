package render

import (
	"strings"
	"testing"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/tally"
)

// Why a session belongs to nobody is told as in the lines, and a process that
// calls itself so looks otherwise.
func TestSummary_Reasons(t *testing.T) {
	s := &tally.Summary{
		Processes: []tally.Group[tally.Actor, tally.Traffic]{
			{Key: tally.Actor{Reason: whose.ReasonAcceptQueue}, Sum: tally.Traffic{In: 3}},
			{Key: tally.Actor{Comm: "(accept queue)"}, Sum: tally.Traffic{In: 2}},
			{Key: tally.Actor{Reason: whose.ReasonKernel}}, {},
		},
		Failures: []tally.Group[tally.Failure, uint64]{{Key: tally.Failure{Actor: tally.Actor{Reason: whose.ReasonOrphan}}}},
		Busiest:  []tally.Load{{Actor: tally.Actor{Reason: whose.ReasonHidden}}},
	}
	text := summarized(t, Text, s, Options{})
	for _, want := range []string{"\n(accept queue) ", "\n\"(accept queue)\" ", "\n(kernel) ", "\n? ", " (orphan) ", "\n(hidden) "} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	if got, want := summarized(t, JSONL, s, Options{}), `"by_process":[{"reason":"accept-queue",`; !strings.Contains(got, want) {
		t.Errorf("no %s in %s", want, got)
	}
}

// The ends of a session are shortened so that arrow and ports stay, and to no
// more than there is room for.
func TestShortenEnds(t *testing.T) {
	for _, test := range []struct {
		text  string
		width int
		want  string
	}{
		{"10.0.0.5:52144 → [2001:db8::7]:443", 30, "10…5:52144 → [2001:db8::7]:443"},
		{"10.0.0.5:52144 → www.example.com:https", 22, "1…:52144 → ww…om:https"},
		{"* ↔ [2001:db8::7]:443", 16, "* ↔ [200…:7]:443"},
	} {
		got, took := shortenEnds(nil, []byte(test.text), test.width)
		if string(got) != test.want || took != textWidth(got) {
			t.Errorf("%s in %d columns is %s of %d, want %s", test.text, test.width, got, took, test.want)
		}
	}
	text := []byte("[2001:db8:85a3::8a2e:370:7334]:52144 ← ec2-93-184-215-14.compute.amazonaws.com:https")
	for width := 1; width < textWidth(text); width++ {
		got, took := shortenEnds(nil, text, width)
		if w := textWidth(got); w != took || w > max(width, 2*len("…:52144")+3) {
			t.Errorf("%d columns, said %d, for a width of %d: %s", w, took, width, got)
		}
	}
}
