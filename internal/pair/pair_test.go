package pair_test

import (
	"net/netip"
	"slices"
	"testing"
	"unsafe"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/pair"
)

// end makes a TCP session of namespace 1, of the family that its local address
// is written in.
func end(local, remote string, change ...func(*pair.End)) pair.End {
	l, r := netip.MustParseAddrPort(local), netip.MustParseAddrPort(remote)
	e := pair.End{
		Local: l.Addr().As16(), Remote: r.Addr().As16(), LocalPort: l.Port(), RemotePort: r.Port(),
		NetNS: 1, Proto: whose.TCP, Family: whose.IPv4, State: whose.Established,
	}
	if l.Addr().Is6() {
		e.Family = whose.IPv6
	}
	for _, c := range change {
		c(&e)
	}
	return e
}

func listener(local string, change ...func(*pair.End)) pair.End {
	none := "0.0.0.0:0"
	if netip.MustParseAddrPort(local).Addr().Is6() {
		none = "[::]:0"
	}
	e := end(local, none, change...)
	e.State = whose.Listen
	return e
}

func on(device uint32) func(*pair.End)    { return func(e *pair.End) { e.Device = device } }
func in(netns uint32) func(*pair.End)     { return func(e *pair.End) { e.NetNS = netns } }
func of(f whose.Family) func(*pair.End)   { return func(e *pair.End) { e.Family = f } }
func proto(p whose.Proto) func(*pair.End) { return func(e *pair.End) { e.Proto = p } }
func bound(s whose.State) func(*pair.End) { return func(e *pair.End) { e.State = s } }
func v6only(e *pair.End)                  { e.V6Only = true }

func TestSize(t *testing.T) {
	if n := unsafe.Sizeof(pair.End{}); n != 48 {
		t.Errorf("an end takes %d bytes, want 48", n)
	}
}

// TestRank has each rule of the kernel's choice as a row: the places of the
// listeners that share the session.
func TestRank(t *testing.T) {
	four, six := "10.0.0.1:80", "[fd00::1]:80"
	from4, from6 := "10.0.0.2:5000", "[fd00::2]:5000"
	for _, c := range []struct {
		rule      string
		listeners []pair.End
		session   pair.End
		want      []int
	}{
		{"all addresses take what comes to one", []pair.End{listener("0.0.0.0:80")}, end(four, from4), []int{0}},
		{"just the address comes before all", []pair.End{listener("0.0.0.0:80"), listener(four)}, end(four, from4), []int{1}},
		{"just the address comes before all, in any order", []pair.End{listener(four), listener("0.0.0.0:80")}, end(four, from4), []int{0}},
		{"just the address comes before a device", []pair.End{listener(four), listener("0.0.0.0:80", on(3))}, end(four, from4, on(3)), []int{0}},
		{"another address takes nothing", []pair.End{listener("10.0.0.9:80")}, end(four, from4), nil},
		{"a listener on the device comes before one on none", []pair.End{listener(four), listener(four, on(3))}, end(four, from4, on(3)), []int{1}},
		{"a session without a device is of a listener without one", []pair.End{listener(four, on(3)), listener(four)}, end(four, from4), []int{1}},
		{"a listener on another device takes nothing", []pair.End{listener(four, on(4))}, end(four, from4, on(3)), nil},
		{"a listener without a device takes a session with one", []pair.End{listener(six)}, end(six, from6, on(3)), []int{0}},
		{"a group shares", []pair.End{listener(four), listener(four), listener("0.0.0.0:80"), listener(four)}, end(four, from4), []int{0, 1, 3}},
		{"a member on a device is no part of the group", []pair.End{listener(four), listener(four, on(3)), listener(four)}, end(four, from4), []int{0, 2}},
		{"[::] takes IPv4", []pair.End{listener("[::]:80")}, end(four, from4, of(whose.IPv6)), []int{0}},
		{"[::] takes IPv6", []pair.End{listener("[::]:80")}, end(six, from6), []int{0}},
		{"[::] with v6only takes no IPv4", []pair.End{listener("[::]:80", v6only)}, end(four, from4, of(whose.IPv6)), nil},
		{"[::] with v6only takes IPv6", []pair.End{listener("[::]:80", v6only)}, end(six, from6), []int{0}},
		{"0.0.0.0 takes no IPv6", []pair.End{listener("0.0.0.0:80")}, end(six, from6), nil},
		{"AF_INET sessions are of 0.0.0.0", []pair.End{listener("[::]:80"), listener("0.0.0.0:80")}, end(four, from4), []int{1}},
		{"AF_INET6 sessions are of [::]", []pair.End{listener("0.0.0.0:80"), listener("[::]:80")}, end(four, from4, of(whose.IPv6)), []int{1}},
		{"a mapped address is an address of its own family", []pair.End{listener(four), listener(four, of(whose.IPv6))}, end(four, from4, of(whose.IPv6)), []int{1}},
		{"of what is left the other family will do", []pair.End{listener("[::]:80")}, end(four, from4), []int{0}},
		{"an MPTCP listener takes plain TCP", []pair.End{listener(four, proto(whose.MPTCP))}, end(four, from4), []int{0}},
		{"another port", []pair.End{listener("10.0.0.1:81")}, end(four, from4), nil},
		{"another namespace", []pair.End{listener(four, in(2))}, end(four, from4), nil},
		{"UDP is no listener of TCP", []pair.End{listener(four, proto(whose.UDP))}, end(four, from4), nil},
		{"UDP-Lite is no listener of UDP", []pair.End{listener(four, proto(whose.UDPLite))}, end(four, from4, proto(whose.UDP)), nil},
	} {
		best, highest := -1, 0
		for i := range c.listeners {
			l := &c.listeners[i]
			if rank := l.Rank(&c.session); l.Port() == c.session.Port() && rank > highest {
				best, highest = i, rank
			}
		}
		var got []int
		for i := range c.listeners {
			if l := &c.listeners[i]; best >= 0 && l.Port() == c.session.Port() && c.listeners[best].Shares(l) {
				got = append(got, i)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: listeners %v, want %v", c.rule, got, c.want)
		}
	}
}

func TestIsListener(t *testing.T) {
	for state, want := range map[whose.State]bool{whose.Listen: true, whose.Unconn: true, whose.Established: false, whose.SynSent: false} {
		if e := end("10.0.0.1:80", "0.0.0.0:0", bound(state)); e.IsListener() != want {
			t.Errorf("%v: %v, want %v", state, !want, want)
		}
	}
}

func TestFaces(t *testing.T) {
	client, server := end("127.0.0.1:5000", "127.0.0.1:80"), end("127.0.0.1:80", "127.0.0.1:5000")
	udp := proto(whose.UDP)
	for _, c := range []struct {
		rule string
		a, b pair.End
		want bool
	}{
		{"both ends", client, server, true},
		{"one end twice", client, client, false},
		{"a session with itself", end("127.0.0.1:7", "127.0.0.1:7"), end("127.0.0.1:7", "127.0.0.1:7"), false},
		{"another port", client, end("127.0.0.1:81", "127.0.0.1:5000"), false},
		{"another address", client, end("127.0.0.2:80", "127.0.0.1:5000"), false},
		{"loopback of another namespace is another", client, end("127.0.0.1:80", "127.0.0.1:5000", in(2)), false},
		{"IPv6 loopback of another namespace is another", end("[::1]:5000", "[::1]:80"), end("[::1]:80", "[::1]:5000", in(2)), false},
		{"another namespace by a real address", end("10.0.0.1:5000", "10.0.0.2:80"), end("10.0.0.2:80", "10.0.0.1:5000", in(2)), true},
		{"a mapped end and one of IPv4", client, end("127.0.0.1:80", "127.0.0.1:5000", of(whose.IPv6)), true},
		{"MPTCP and TCP", client, end("127.0.0.1:80", "127.0.0.1:5000", proto(whose.MPTCP)), true},
		{"UDP and TCP", client, end("127.0.0.1:80", "127.0.0.1:5000", udp), false},
		{"UDP without an address of its own, on a loopback", end("0.0.0.0:5000", "127.0.0.2:53", udp), end("127.0.0.2:53", "127.0.0.1:5000", udp), true},
		{"UDP without an address of its own, to an address of this host", end("[::]:5000", "[fd00::1]:53", udp), end("[fd00::1]:53", "[fd00::1]:5000", udp), true},
		{"both without addresses", end("0.0.0.0:5000", "127.0.0.1:53", udp), end("0.0.0.0:53", "127.0.0.1:5000", udp), true},
	} {
		if c.a.Faces(&c.b) != c.want || c.b.Faces(&c.a) != c.want {
			t.Errorf("%s: %v and %v, want %v", c.rule, c.a.Faces(&c.b), c.b.Faces(&c.a), c.want)
		}
		if c.want && c.a.Hash(99) != c.b.Hash(99) {
			t.Errorf("%s: the ends have different hashes", c.rule)
		}
	}
}

func TestNearer(t *testing.T) {
	e := end("10.0.0.1:5000", "10.0.0.2:80")
	for _, c := range []struct {
		rule    string
		a, b    uint32
		at, bAt uint64
		want    bool
	}{
		{"the own namespace comes first", 1, 2, 900, 100, true},
		{"another namespace comes last", 2, 1, 100, 900, false},
		{"the smaller difference of times", 1, 1, 110, 80, true},
		{"the smaller difference of times, of others", 2, 3, 80, 110, false},
		{"equal ones stay", 1, 1, 110, 90, false},
	} {
		if got := e.Nearer(100, c.a, c.at, c.b, c.bAt); got != c.want {
			t.Errorf("%s: %v, want %v", c.rule, got, c.want)
		}
	}
}

func TestAddresses(t *testing.T) {
	for text, want := range map[string]struct{ mapped, unspecified, loopback bool }{
		"127.0.0.1": {mapped: true, loopback: true}, "127.9.9.9": {mapped: true, loopback: true}, "10.0.0.1": {mapped: true},
		"0.0.0.0": {mapped: true, unspecified: true}, "::": {unspecified: true}, "::1": {loopback: true}, "fd00::1": {},
		"::7f00:1": {},
	} {
		a := netip.MustParseAddr(text).As16()
		if got := pair.IsMapped(&a); got != want.mapped {
			t.Errorf("%s mapped: %v", text, got)
		}
		if got := pair.IsUnspecified(&a); got != want.unspecified {
			t.Errorf("%s unspecified: %v", text, got)
		}
		if got := pair.IsLoopback(&a); got != want.loopback {
			t.Errorf("%s loopback: %v", text, got)
		}
		if got := pair.AddrPort(a, 7); got != netip.AddrPortFrom(netip.MustParseAddr(text), 7) {
			t.Errorf("%s with port: %v", text, got)
		}
	}
	if pair.Mapped(netip.Addr{}, whose.IPv4) != pair.AnyIPv4 || pair.Mapped(netip.Addr{}, whose.IPv6) != pair.AnyIPv6 {
		t.Error("no address is not the unspecified one of its family")
	}
}

// Of a connected datagram socket the server is looked for where it is for certain.
func TestServed(t *testing.T) {
	udp := proto(whose.UDP)
	for _, c := range []struct {
		rule string
		e    pair.End
		want string // the local end of the session in the eyes of the server
	}{
		{"loopback", end("127.0.0.1:5000", "127.0.0.1:53", udp), "127.0.0.1:53"},
		{"loopback without an address of its own", end("0.0.0.0:5000", "127.0.0.9:53", udp), "127.0.0.9:53"},
		{"IPv6", end("[::1]:5000", "[::1]:53", udp), "[::1]:53"},
		{"its own address", end("10.0.0.1:5000", "10.0.0.1:53", udp), "10.0.0.1:53"},
		{"perhaps another host", end("10.0.0.1:5000", "10.0.0.2:53", udp), ""},
		{"itself", end("127.0.0.1:53", "127.0.0.1:53", udp), ""},
		{"TCP", end("127.0.0.1:5000", "127.0.0.1:53"), ""},
		{"nobody", end("127.0.0.1:5000", "0.0.0.0:0", udp, bound(whose.Unconn)), ""},
	} {
		server, here := c.e.Served()
		if here != (c.want != "") || here && pair.AddrPort(server.Local, server.LocalPort).String() != c.want {
			t.Errorf("%s: %v, %v, want %q", c.rule, pair.AddrPort(server.Local, server.LocalPort), here, c.want)
		}
	}
}
