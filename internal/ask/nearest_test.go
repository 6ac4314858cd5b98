package ask

import (
	"testing"
)

func TestNearest(t *testing.T) {
	words := []string{"state", "local_port", "process", "pid", "rtt"}
	for typed, want := range map[string]string{
		"stat": "state", "sate": "state", "STATE": "state", "proces": "process", "porcess": "process",
		"local": "local_port", "pdi": "pid", "xyzzy": "", "": "", "r": "",
	} {
		if got := Nearest(typed, words); got != want {
			t.Errorf("nearest to %q is %q, want %q", typed, got, want)
		}
	}
}
