package filter

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seed-44df2ae6/whose"
)

// admit plays the collector: it returns the session as it is seen with the
// plan applied, or false where it is left out. Where exact is false, what may
// be applied in part is applied to this session or not by chance.
func admit(r *rand.Rand, p *Plan, s whose.Session, exact bool) (whose.Session, bool) {
	apply := func() bool { return exact || r.IntN(2) == 0 }
	q := p
	if !q.Protos.Has(s.Proto) || !q.Families.Has(s.Family) || !q.States.Has(s.State) {
		return s, false
	}
	if len(q.Any) > 0 && apply() &&
		!slices.ContainsFunc(q.Any, func(e Endpoints) bool { return e.Holds(s.Local, s.Remote) }) {
		return s, false
	}
	if p.NetNS != nil && apply() && !p.NetNS(s.NetNS, s.NetNSName) {
		return s, false
	}
	seen := func(owners []whose.Owner, wanted func(*whose.Owner) bool) []whose.Owner {
		return slices.DeleteFunc(slices.Clone(owners), func(o whose.Owner) bool { return !wanted(&o) && apply() })
	}
	if p.Process != nil {
		wanted := func(o *whose.Owner) bool { return p.Process(o.PID, o.Comm) }
		s.Owners, s.Peer = seen(s.Owners, wanted), seen(s.Peer, wanted)
	}
	if len(q.PIDs) > 0 {
		s.Owners = seen(s.Owners, func(o *whose.Owner) bool { return slices.Contains(q.PIDs, o.PID) })
	}
	if (p.Process != nil || len(q.PIDs) > 0) && len(s.Owners) == 0 && apply() {
		return s, false
	}
	return s, true
}

// randomTries is the number of expressions, enough for every part to be pushed.
const randomTries = 6000

func TestSplit_Property(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	pushed := map[string]int{}
	for range randomTries {
		e := mustParse(t, randomText(r, r.IntN(4)))
		p := Split(e, someEnv)
		countPushed(pushed, e, &p)
		whole, rest := Compile(e, someEnv), Compile(p.Rest, someEnv)
		for _, s := range randomHost(r, 15) {
			want := whole.Match(&s)
			for _, exact := range []bool{true, false} {
				seen, ok := admit(r, &p, s, exact)
				if got := ok && rest.Match(&seen); got != want {
					t.Fatalf("%s\nplan %+v\nrest %v\non %+v\nadmitted %v, is %v, want %v", e, p, p.Rest, s, ok, got, want)
				}
			}
		}
	}
	for _, what := range []string{"protos", "families", "states", "any", "pids", "process", "netns", "port 0", "nothing", "all", "rest"} {
		if pushed[what] < 20 {
			t.Errorf("%s was pushed %d times of %d: the random expressions do not try it", what, pushed[what], randomTries)
		}
	}
}

func countPushed(pushed map[string]int, e Expr, p *Plan) {
	for what, is := range map[string]bool{
		"protos": p.Protos != whose.AllProtos, "families": p.Families != whose.AllFamilies, "states": p.States != whose.AllStates,
		"any": len(p.Any) > 0, "port 0": slices.ContainsFunc(p.Any, func(e Endpoints) bool { return e.LocalPorts == PortRange{} || e.RemotePorts == PortRange{} }), "pids": len(p.PIDs) > 0, "process": p.Process != nil, "netns": p.NetNS != nil,
		"nothing": p.asksNothing(), "all": p.Rest == nil, "rest": p.Rest != nil && p.Rest.String() != e.String(),
	} {
		if is {
			pushed[what]++
		}
	}
}

// asksNothing reports whether no session can meet the plan.
func (p *Plan) asksNothing() bool { return p.Protos == 0 || p.Families == 0 || p.States == 0 }

// ofAll returns the plan with all protocols, families and states where it names none.
func ofAll(p Plan) Plan {
	p.Protos = cmp.Or(p.Protos, whose.AllProtos)
	p.Families = cmp.Or(p.Families, whose.AllFamilies)
	p.States = cmp.Or(p.States, whose.AllStates)
	return p
}

func lport(first, last uint16) Endpoints { return OnLocal(netip.Prefix{}, PortRange{first, last}) }

func rport(first, last uint16) Endpoints { return lport(first, last).Swapped() }

func TestSplit(t *testing.T) {
	net := netip.MustParsePrefix
	for _, test := range []struct {
		text, rest string
		plan       Plan
	}{
		{"tcp and established", "", Plan{Protos: whose.SetOf(whose.TCP), States: whose.SetOf(whose.Established)}},
		{"not (udp or udplite)", "", Plan{Protos: whose.SetOf(whose.TCP, whose.MPTCP)}},
		{"not state listen", "", Plan{States: whose.AllStates &^ whose.SetOf(whose.Listen)}},
		{"state ~ '^FIN'", "", Plan{States: whose.SetOf(whose.FinWait1, whose.FinWait2)}},
		{"tcp or udp,udplite,mptcp", "", Plan{}},
		{"tcp listen nginx", "comm = nginx", Plan{Protos: whose.SetOf(whose.TCP), States: whose.SetOf(whose.Listen)}},
		{"tcp and (ipv4 and (udp or :80))", "proto = udp or port = 80", Plan{Protos: whose.SetOf(whose.TCP),
			Families: whose.SetOf(whose.IPv4), Any: nil}},
		{"(tcp and listen) or (udp and unconn)", "proto = tcp and state = LISTEN or proto = udp and state = UNCONN",
			Plan{Protos: whose.SetOf(whose.TCP, whose.UDP), States: whose.SetOf(whose.Listen, whose.Unconn)}},
		{"(tcp and udp and est) or listen", "proto = tcp and proto = udp and state = ESTABLISHED or state = LISTEN",
			Plan{States: whose.SetOf(whose.Listen)}},
		{":443", "port = 443", Plan{Any: []Endpoints{lport(443, 443), rport(443, 443)}}},
		{"10.0.0.1:443", "addr = 10.0.0.1:443", Plan{Any: []Endpoints{
			OnLocal(net("10.0.0.1/32"), PortRange{443, 443}), OnLocal(net("10.0.0.1/32"), PortRange{443, 443}).Swapped()}}},
		{"local 10.0.0.0/8 and lport 80,443", "local_addr in 10.0.0.0/8 and local_port in (80, 443)", Plan{Any: []Endpoints{
			OnLocal(net("10.0.0.0/8"), PortRange{80, 80}), OnLocal(net("10.0.0.0/8"), PortRange{443, 443})}}},
		{"local 10.0.0.0/8 and local 10.1.0.0/16", "local_addr in 10.0.0.0/8 and local_addr in 10.1.0.0/16",
			Plan{Any: []Endpoints{OnLocal(net("10.1.0.0/16"), AnyPort)}}},
		{"local 10.0.0.0/8 or local 10.1.0.0/16", "local_addr in 10.0.0.0/8 or local_addr in 10.1.0.0/16",
			Plan{Any: []Endpoints{OnLocal(net("10.0.0.0/8"), AnyPort)}}},
		{"lport < 1024", "local_port < 1024", Plan{Any: []Endpoints{lport(0, 1023)}}},
		{"not lport < 1024", "not local_port < 1024", Plan{Any: []Endpoints{lport(1024, 65535)}}},
		{"lport != 22", "local_port != 22", Plan{Any: []Endpoints{lport(0, 21), lport(23, 65535)}}},
		{"lport 0", "local_port = 0", Plan{Any: []Endpoints{lport(0, 0)}}},
		{"rport >= 0", "remote_port >= 0", Plan{}},
		{"lport 0 and rport 0", "local_port = 0 and remote_port = 0", Plan{Any: []Endpoints{{}}}},
		{"*:0", "addr = *:0", Plan{Any: []Endpoints{lport(0, 0), rport(0, 0)}}},
		{"not remote 127.0.0.0/8", "not remote_addr in 127.0.0.0/8", Plan{}},
		{"lport 1,3,5,7,9,11,13,15,17,19", "local_port in (1, 3, 5, 7, 9, 11, 13, 15, 17, 19)",
			Plan{Any: []Endpoints{lport(1, 19)}}},
		{"rport 80 and pid 812", "remote_port = 80 and pid = 812",
			Plan{Any: []Endpoints{rport(80, 80)}, PIDs: []uint32{812}}},
		{"rport 80 or pid 812", "remote_port = 80 or pid = 812", Plan{}},
		{"pid 812,5-7 and pid 9", "pid in (812, 5-7) and pid = 9", Plan{PIDs: []uint32{5, 6, 7, 9, 812}}},
		{"pid 812 and pid != 900", "pid = 812 and pid != 900", Plan{PIDs: []uint32{812, 900}}},
		{"pid 812 and not nginx", "pid = 812 and not comm = nginx", Plan{}},
		{"pid 812 and peer_pid 5", "pid = 812 and peer_pid = 5", Plan{}},
		{"pid != 812", "pid != 812", Plan{}},
		{"pid > 5", "pid > 5", Plan{}},
	} {
		p := Split(mustParse(t, test.text), someEnv)
		rest := ""
		if p.Rest != nil {
			rest = p.Rest.String()
		}
		if rest != test.rest {
			t.Errorf("%s: rest %q, want %q", test.text, rest, test.rest)
		}
		if diff := gocmp.Diff(ofAll(test.plan), p, cmpopts.EquateComparable(netip.Prefix{}), cmpopts.IgnoreFields(Plan{}, "Rest", "Process", "NetNS")); diff != "" {
			t.Errorf("%s: plan (-want +got):\n%s", test.text, diff)
		}
	}
}

func TestSplit_Nothing(t *testing.T) {
	for _, text := range []string{"tcp and udp", "lport > 65535", "local 10.0.0.0/8 and local ::1", "lport 80 and lport 81",
		"not (tcp or not tcp)"} {
		if p := Split(mustParse(t, text), Env{}); !p.asksNothing() {
			t.Errorf("%s: %+v, want a plan that asks for nothing", text, p)
		}
	}
	if p := Split(nil, Env{}); p.asksNothing() || p.Rest != nil || p.Process != nil || p.NetNS != nil {
		t.Errorf("no expression: %+v, want a plan that asks for everything", p)
	}
}

func TestSplit_Process(t *testing.T) {
	for text, want := range map[string]string{
		"nginx":                              "1:nginx",
		"nginx and :80":                      "1:nginx",
		"nginx or sshd":                      "1:nginx 2:sshd",
		"nginx or :80":                       "all",
		"not nginx":                          "all",
		"nginx and not sshd":                 "1:nginx 2:sshd",
		"pid 3 and peer_comm sshd":           "2:sshd 3:init",
		"peer_comm sshd":                     "all",
		"pid 3 and cmdline x":                "all",
		"pid 3 and reason orphan":            "all",
		"pid > 1":                            "2:sshd 3:init",
		"process ~ '^i'":                     "3:init",
		"not (not nginx or not :80)":         "1:nginx",
		"not process !~ sh and direction in": "2:sshd",
	} {
		p := Split(mustParse(t, text), Env{})
		got := "all"
		if p.Process != nil {
			got = ""
			for i, comm := range []string{"nginx", "sshd", "init"} {
				if p.Process(uint32(i+1), comm) {
					got += fmt.Sprintf(" %d:%s", i+1, comm)
				}
			}
			got = got[min(1, len(got)):]
		}
		if got != want {
			t.Errorf("%s: looks into %q, want %q", text, got, want)
		}
	}
}

func TestSplit_NetNS(t *testing.T) {
	for text, want := range map[string]string{
		"netns web": "web", "netns self": "self", "netns 43": "db", "netns web or netns 43": "web db", "netns web or tcp": "all",
		"tcp and not netns web": "self db", "netns_name ~ '^.b$'": "db", "not (netns web or tcp)": "self db", "tcp": "all",
		"netns web and netns db": "",
	} {
		p := Split(mustParse(t, text), someEnv)
		got := "all"
		if p.NetNS != nil {
			got = ""
			for inode, name := range []string{42: "self", 43: "db", 44: "web"} {
				if name != "" && p.NetNS(uint32(inode), name) {
					got += " " + name
				}
			}
			got = got[min(1, len(got)):]
		}
		if sorted(got) != sorted(want) {
			t.Errorf("%s: namespaces %q, want %q", text, got, want)
		}
	}
}

func sorted(s string) string {
	b := []byte(s)
	slices.Sort(b)
	return string(b)
}

func TestNeeds(t *testing.T) {
	for text, want := range map[string]whose.Needs{
		"tcp and :80 and 10.0.0.0/8 and uid 5": 0,
		"nginx":                                whose.NeedOwners,
		"not cmdline ~ x or user root":         whose.NeedCmdline | whose.NeedUser,
		"netns 42 and netns self":              0,
		"netns web":                            whose.NeedNetNSName,
		"netns_name web":                       whose.NeedNetNSName,
		"direction in and peer x":              whose.NeedDirection | whose.NeedPeer,
		"rtt > 1s":                             whose.NeedTCPInfo,
	} {
		if got := Needs(mustParse(t, text)); got != want {
			t.Errorf("Needs(%s) = %b, want %b", text, got, want)
		}
	}
	if got := Needs(nil); got != 0 {
		t.Errorf("Needs(nil) = %b", got)
	}
}

// TestAll compares the sets of everything with the names that a filter knows.
func TestAll(t *testing.T) {
	want := everySet()
	for _, name := range []string{"proto", "family", "state"} {
		all := &Cond{name: name, op: Eq}
		for _, v := range whose.FieldByName(name).Values {
			all.values = append(all.values, operand{text: v})
		}
		if got := setsOf(all, true); got != want {
			t.Errorf("%s in %v: %+v, want %+v", name, whose.FieldByName(name).Values, got, want)
		}
	}
}
