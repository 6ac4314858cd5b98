package agent

import (
	"testing"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
)

// TestQuestion_MayMatch: a state that no session of the question can be in is not
// missing from its answer.
func TestQuestion_MayMatch(t *testing.T) {
	for text, want := range map[string]bool{
		"": true, "tcp": true, "port 443": true, "comm nginx or state time_wait": true,
		"established": false, "listening": false, "udp": false, "state established and port 443": false, "proto udp,udplite": false,
	} {
		var e filter.Expr
		if text != "" {
			var err error
			if e, err = filter.Parse(text); err != nil {
				t.Fatal(err)
			}
		}
		q := &Question{Filter: e}
		if got := q.mayMatch(absent); (got != 0) != want {
			t.Errorf("%q: the states %x may be missing; want any: %v", text, got, want)
		}
	}
	if got := (&Question{Protos: whose.SetOf(whose.UDP)}).mayMatch(absent); got != 0 {
		t.Errorf("of UDP the states %x may be missing", got)
	}
}
