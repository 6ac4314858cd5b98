package filter

import (
	"slices"
	"strings"
	"testing"
)

func TestComplete(t *testing.T) {
	for _, test := range []struct {
		text string
		from int
		// has and hasNot are texts, and expected fields after a "$".
		has, hasNot string
	}{
		{"", 0, "not port addr proto local_addr tcp established listening ipv6 $comm", "and or local"},
		{"lo", 0, "local_addr local local_port $comm", "lport tcp"},
		{"nginx ", 6, "and or not tcp port $comm", "="},
		{"tcp and st", 8, "state start_time", "tcp and"},
		{"tcp and (", 9, "not state", "and or"},
		{"state ", 6, "in = != ~ !~ established time_wait connected", "< and"},
		{"state es", 6, "established", "listen"},
		{"STATE ES", 6, "established", "listen"},
		{"state = ", 8, "established listening", "= in"},
		{"state in (listen, ", 18, "established", "and"},
		{"state in (listen ", 17, "", "and established"},
		{"state in (listen) ", 18, "and or tcp", "listen_"},
		{"state listen,es", 13, "established", "and"},
		{"direction ", 10, "in out = !=", "<"},
		{"direction in", 10, "in", "and out"},
		{"direction in ", 13, "and or tcp", "out"},
		{"pid ", 4, "$pid in = <", "~ tcp"},
		{"pid not in ", 11, "$pid", "tcp"},
		{"netns ", 6, "$netns $netns_name self", "<"},
		{"process ng", 8, "$comm", "netns"},
		{"process 'ng", 8, "$comm", "netns"},
		{"v6only ", 7, "true false", "~"},
		{"remote ", 7, "$remote_addr", "~"},
		{"port ", 5, "$local_port $remote_port", "~"},
		{"and ", 4, "", "tcp $comm"},
		{"a b) ", 5, "", "tcp and"},
		{"(a b) ", 6, "tcp and", ""},
		{"not (state in (listen) or ", 26, "tcp not", "and"},
		{"rtt > ", 6, "$rtt", "tcp"},
		{"a & ", 4, "", "tcp $comm"},
	} {
		from, candidates := Complete(test.text)
		var have []string
		for _, c := range candidates {
			switch {
			case c.Doc == "":
				t.Errorf("Complete(%q): %+v says nothing", test.text, c)
			case c.Text != "":
				have = append(have, c.Text)
			default:
				have = append(have, "$"+c.Expects)
			}
		}
		if from != test.from {
			t.Errorf("Complete(%q) from %d, want %d", test.text, from, test.from)
		}
		for _, w := range strings.Fields(test.has) {
			if !slices.Contains(have, w) {
				t.Errorf("Complete(%q) has no %q: %q", test.text, w, have)
			}
		}
		for _, w := range strings.Fields(test.hasNot) {
			if slices.Contains(have, w) {
				t.Errorf("Complete(%q) has %q", test.text, w)
			}
		}
	}
}

// TestComplete_Parses completes every term to something that parses.
func TestComplete_Parses(t *testing.T) {
	_, terms := Complete("")
	for _, c := range terms {
		if c.Text == "" || c.Text == "not" {
			continue
		}
		if _, ok := subjectByName(c.Text); !ok {
			mustParse(t, c.Text)
			continue
		}
		_, next := Complete(c.Text + " = ")
		for _, v := range next {
			if v.Text != "" {
				mustParse(t, c.Text+" = "+v.Text)
			}
		}
		if len(next) == 0 {
			t.Errorf("Complete(%q) offers nothing", c.Text+" = ")
		}
	}
}
