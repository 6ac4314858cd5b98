package filter

import (
	"testing"
)

// TestParseArgs_Quotes: what the shell took the quotes off is one value where
// a value has to stand, and a piece of the expression elsewhere.
func TestParseArgs_Quotes(t *testing.T) {
	for _, test := range []struct {
		words []string
		want  string
	}{
		{[]string{"process", "Web Content"}, `process "Web Content"`},
		{[]string{"process", "=", "Web Content", "and", "tcp"}, `process = "Web Content" and tcp`},
		{[]string{"process", "~", `^\d a$`}, `process ~ "^\\d a$"`},
		{[]string{"not", "state established"}, "not state established"},
		{[]string{"tcp", "and", "state established or udp"}, "tcp and state established or udp"},
		{[]string{"rtt", "> 50ms"}, "rtt > 50ms"},
		{[]string{"process", "in (a, b)"}, "process in (a, b)"},
		{[]string{"tcp and lport 80"}, "tcp and lport 80"},
	} {
		_, got, err := ParseArgs(test.words)
		if err != nil || got != test.want {
			t.Errorf("%q is read as %q, %v; want %q", test.words, got, err, test.want)
		}
	}
}
