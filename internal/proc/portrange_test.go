package proc

import (
	"testing"

	"github.com/seed-44df2ae6/whose/filter"
)

func TestParsePortRange(t *testing.T) {
	for text, want := range map[string]filter.PortRange{
		"32768\t60999\n": {First: 32768, Last: 60999}, "1024 1025": {First: 1024, Last: 1025},
		"": {}, "1 2 3": {}, "1 70000": {}, "a b": {},
	} {
		got, err := parsePortRange([]byte(text))
		if got != want || (err == nil) != (want != filter.PortRange{}) {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
}

// The range of this host is there, and is the kernel's.
func TestEphemeralPorts(t *testing.T) {
	if got, err := EphemeralPorts(""); err != nil || got.First >= got.Last {
		t.Errorf("%v, %v", got, err)
	}
}
