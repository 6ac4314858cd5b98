package sockdiag

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/internal/netlink"
	"github.com/seed-44df2ae6/whose/internal/source"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// TestRead_Pushdown runs random conditions in the kernel over standing sockets:
// all that meet them must come, others only where an IPv6 prefix meets a
// mapped address.
func TestRead_Pushdown(t *testing.T) {
	ns := testenv.NewNetNS(t)
	in(t, ns, zoo)
	s, err := Open(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	all := readWith(t, s, ns, source.Query{})
	r := rand.New(rand.NewPCG(3, 4))
	some, less := 0, 0
	for range 500 {
		anyOf := make([]filter.Endpoints, 1+r.IntN(4))
		for i := range anyOf {
			anyOf[i] = near(r, &all.Sockets[r.IntN(len(all.Sockets))])
		}
		got := map[uint64]bool{}
		answer := readWith(t, s, ns, source.Query{Any: anyOf})
		for _, x := range answer.Sockets {
			got[x.Cookie] = true
		}
		for i := range all.Sockets {
			x := &all.Sockets[i]
			if holdsFor(anyOf, x) && !got[x.Cookie] {
				t.Fatalf("%+v does not bring %+v", anyOf, describe(x))
			}
			if got[x.Cookie] && !holdsFor(anyOf, x) && !maybeMore(anyOf, x) {
				t.Fatalf("%+v brings %+v", anyOf, describe(x))
			}
		}
		if len(answer.Sockets) > 0 {
			some++
		}
		if len(answer.Sockets) < len(all.Sockets) {
			less++
		}
	}
	if some < 100 || less < 100 {
		t.Errorf("of 500 conditions %d bring something and %d less than all: the test tests little", some, less)
	}
}

// near makes a condition that a socket meets, or nearly.
func near(r *rand.Rand, s *source.Socket) filter.Endpoints {
	prefix := func(a [16]byte) netip.Prefix {
		addr := netip.AddrFrom16(a).Unmap()
		if r.IntN(2) == 0 {
			return netip.Prefix{}
		}
		return netip.PrefixFrom(addr, r.IntN(addr.BitLen()+1)).Masked()
	}
	ports := func(p uint16) filter.PortRange {
		switch r.IntN(4) {
		case 0:
			return filter.PortRange{First: p, Last: p}
		case 1:
			return filter.PortRange{First: p - min(p, 1), Last: max(p, 1)}
		case 2:
			return filter.PortRange{First: p, Last: 65535}
		}
		return filter.AnyPort
	}
	return filter.Endpoints{Local: prefix(s.Local), Remote: prefix(s.Remote), LocalPorts: ports(s.LocalPort), RemotePorts: ports(s.RemotePort)}
}

func entryOf(s *source.Socket) entry {
	l, r := netip.AddrFrom16(s.Local), netip.AddrFrom16(s.Remote)
	if s.Family == whose.IPv4 {
		l, r = l.Unmap(), r.Unmap()
	}
	return entry{s.Family == whose.IPv6, netip.AddrPortFrom(l, s.LocalPort), netip.AddrPortFrom(r, s.RemotePort)}
}

func holdsFor(anyOf []filter.Endpoints, s *source.Socket) bool { return holds(anyOf, entryOf(s)) }

// maybeMore reports whether more than asked for is allowed.
func maybeMore(anyOf []filter.Endpoints, s *source.Socket) bool {
	e := entryOf(s)
	return (e.local.Addr().Is4In6() || e.remote.Addr().Is4In6()) && slices.ContainsFunc(anyOf, func(x filter.Endpoints) bool {
		return x.Local.Addr().Is6() || x.Remote.Addr().Is6()
	})
}

// TestKernel_AcceptsPrograms has the kernel check random programs.
func TestKernel_AcceptsPrograms(t *testing.T) {
	c, err := openConn()
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	r := rand.New(rand.NewPCG(5, 6))
	buf := make([]byte, datagramSize)
	ask := func(code []byte) unix.Errno {
		d := dump{proto: whose.UDPLite, families: whose.SetOf(whose.IPv4), states: whose.SetOf(whose.Established)}
		q := request{proto: netlink.ProtoUDP, family: netlink.FamilyIPv4, states: 1 << stateEstablished, bytecode: code}
		if err := c.run(context.Background(), &q, &d, buf, &rows{}); err != nil {
			t.Fatal(err)
		}
		return unix.Errno(d.errno)
	}
	for range 300 {
		anyOf := make([]filter.Endpoints, 1+r.IntN(60))
		for i := range anyOf {
			anyOf[i] = randomEndpoints(r)
		}
		if code := compile(anyOf, r.IntN(2) == 0); len(code) > 0 {
			if errno := ask(code); errno != 0 {
				t.Fatalf("%x: %v", code, errno)
			}
		}
	}
	if errno := ask([]byte{opJump, 4, 6, 0}); errno != unix.EINVAL {
		t.Errorf("a wrong program: %v, want EINVAL", errno)
	}
}
