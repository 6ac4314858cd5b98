package filter

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/seed-44df2ae6/whose"
)

// TestWithoutOwners wants a session that meets an expression with some owners to
// meet what is left of it without them.
func TestWithoutOwners(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	met := 0
	for range 3000 {
		e, err := Parse(randomText(r, 3))
		if err != nil {
			t.Fatal(err)
		}
		bare := Compile(WithoutOwners(e), someEnv)
		s := randomHost(r, 1)[0]
		if !Compile(e, someEnv).Match(&s) {
			continue
		}
		met++
		hidden := s
		hidden.Owners, hidden.Peer, hidden.Reason = nil, nil, whose.ReasonHidden
		if !bare.Match(&hidden) {
			t.Fatalf("%s: met with owners, and not without: %+v", e, s)
		}
	}
	if met == 0 {
		t.Fatal("no session met an expression")
	}
	for text, want := range map[string]bool{"process a": true, "not process a": true, "process a and port 1": false, "port 1 or pid 7": true,
		"not (port 22 or process a)": false, "not (port 1 or process a)": true, "reason kernel": true, "port 22": true, "user root": false} {
		e, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		s := whose.Session{User: "ann", Reason: whose.ReasonHidden}
		s.Local = netip.MustParseAddrPort("10.0.0.1:22")
		if got := Compile(WithoutOwners(e), someEnv).Match(&s); got != want {
			t.Errorf("%s: may be met by a session with hidden owners: %v, want %v", text, got, want)
		}
	}
}
