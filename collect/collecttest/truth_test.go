package collecttest

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/seed-44df2ae6/whose"
)

func example() whose.Session {
	return whose.Session{
		Local: netip.MustParseAddrPort("127.0.0.1:80"), Remote: netip.MustParseAddrPort("0.0.0.0:0"),
		Inode: 11, Cookie: 12, NetNS: 1, Proto: whose.TCP, Family: whose.IPv4, State: whose.Listen,
		Owners: []whose.Owner{{Process: &whose.Process{PID: 7, Comm: "a"}, FDs: []int32{3, 4}}},
	}
}

// TestCompare_Finds makes each kind of mistake and wants it to be found: a
// suite that finds nothing proves nothing.
func TestCompare_Finds(t *testing.T) {
	truths := []Truth{{Label: "listener", Session: example()}}
	changed := func(change func(*whose.Session)) []whose.Session {
		s := example()
		change(&s)
		return []whose.Session{s}
	}
	tests := []struct {
		name, want string
		answer     []whose.Session
	}{
		{"right", "", []whose.Session{example()}},
		{"missing", "listener: not listed", nil},
		{"twice", "listener: listed 2 times", []whose.Session{example(), example()}},
		{"spurious", "spurious: ", append(changed(func(s *whose.Session) { s.Inode = 99 }), example())},
		{"elsewhere", "", append(changed(func(s *whose.Session) { s.Inode, s.NetNS = 99, 2 }), example())},
		{"state", "want [state=LISTEN], got [state=CLOSE]", changed(func(s *whose.Session) { s.State = whose.Close })},
		{"cookie", "want [cookie=12], got []", changed(func(s *whose.Session) { s.Cookie = 0 })},
		{"no owner", `want [owner=7 "a" [3 4]], got []`, changed(func(s *whose.Session) { s.Owners = nil })},
		{"a descriptor less", `got [owner=7 "a" [3]]`, changed(func(s *whose.Session) { s.Owners[0].FDs = []int32{3} })},
		{"an owner twice", "listener: want [], got []", changed(func(s *whose.Session) { s.Owners = append(s.Owners, s.Owners[0]) })},
		{"a peer", "got [peer=7]", changed(func(s *whose.Session) { s.Peer = s.Owners })},
		{"reason", "got [reason=kernel]", changed(func(s *whose.Session) { s.Reason = whose.ReasonKernel })},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := strings.Join(compare("bpf", truths, test.answer, []uint32{1}), "\n")
			if test.want == "" && got != "" || !strings.Contains(got, test.want) {
				t.Errorf("found %q, want %q", got, test.want)
			}
		})
	}
}

func TestAccount_Finds(t *testing.T) {
	sessions := []whose.Session{example(), {Reason: whose.ReasonOrphan}}
	right := whose.Coverage{Source: "bpf", Sessions: 2, Owned: 1, OwnersAsked: true, Processes: 1, Namespaces: 1, Duration: time.Millisecond}
	right.Ownerless[whose.ReasonOrphan] = 1
	if wrong := account("bpf", sessions, &right, true); len(wrong) > 0 {
		t.Errorf("found in a right account: %q", wrong)
	}
	for name, change := range map[string]func(*whose.Coverage){
		"source": func(c *whose.Coverage) { c.Source = "" }, "sessions": func(c *whose.Coverage) { c.Sessions = 3 },
		"owned": func(c *whose.Coverage) { c.Owned = 2 }, "reason": func(c *whose.Coverage) { c.Ownerless[whose.ReasonOrphan] = 0 },
		"asked": func(c *whose.Coverage) { c.OwnersAsked = false }, "processes": func(c *whose.Coverage) { c.Processes = 0 },
		"namespaces": func(c *whose.Coverage) { c.Namespaces = 0 }, "duration": func(c *whose.Coverage) { c.Duration = 0 },
	} {
		c := right
		change(&c)
		if wrong := account("bpf", sessions, &c, true); len(wrong) == 0 {
			t.Errorf("%s: nothing found", name)
		}
	}
}
