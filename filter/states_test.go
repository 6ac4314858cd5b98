package filter

import (
	"math/rand/v2"
	"testing"

	"github.com/seed-44df2ae6/whose"
)

// A filter that names something, or asks for states, asks for every state.
func TestDefaultStates(t *testing.T) {
	every := []string{
		"listen", "tcp and not state closing", "not state listen",
		"nginx", "'Web Content'", "process nginx", "/usr/sbin/nginx", "pid 812", "pid in (1, 2)", "cmdline ~ x", "start_time > 10m",
		"fd 3", "parent 1", "owner_user root", "unit nginx.service", "container 4f", "pod 1",
		"peer nginx", "peer_pid 1",
		":443", ":8000-9000", "10.0.0.0/8", "*:443", "lport 80", "rport > 1024", "local 10.0.0.1", "remote 10.0.0.1:443", "port 22", "addr 10.0.0.1",
		"user root", "uid 0", "inode 7", "cookie 7", "socket_unit x.service", "socket_container x",
		"tcp and :443", "udp or :443", "tcp (udp or (netns self and nginx))",
		"not not :443", "not port != 443", "not process !~ x", "not (tcp or pid != 3)", "port 443 and not port 22",
	}
	few := []string{
		"", "tcp", "udp,tcp", "ipv6", "direction in", "rtt > 50ms", "recv_queue > 0", "dev eth0", "mark 1", "reason orphan",
		"netns self", "netns web", "netns_name web", "v6only",
		"not port 22", "port != 22", "lport not in (80, 443)", "not process = *", "not nginx", "process !~ x", "tcp and not 10.0.0.0/8",
		"not (port 22 or nginx)", "not (tcp and pid 3)", "not not not :443",
	}
	for _, text := range every {
		if got := DefaultStates(mustParse(t, text)); got != whose.AllStates {
			t.Errorf("%s asks for %b, want every state", text, got)
		}
	}
	for _, text := range few {
		if got := DefaultStates(mustParse(t, text)); got != whose.DefaultStates {
			t.Errorf("%s asks for %b, want the default states", text, got)
		}
	}
}

// The rule follows the meaning: two negations are none, and a negated operator is
// a negation.
func TestDefaultStates_Negation(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 2000 {
		e := mustParse(t, randomText(r, 3))
		want := DefaultStates(e)
		if got := DefaultStates(&Not{X: &Not{X: e}}); got != want {
			t.Fatalf("not not %s asks for %b, want %b", e, got, want)
		}
		if got := DefaultStates(&And{Terms: []Expr{mustParse(t, "tcp"), e}}); got != want {
			t.Fatalf("tcp and %s asks for %b, want %b", e, got, want)
		}
	}
}
