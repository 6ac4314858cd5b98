package sockdiag

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/internal/netlink"
)

// entry is what the kernel's interpreter sees of a socket.
type entry struct {
	v6            bool
	local, remote netip.AddrPort
}

// interpret runs a program as inet_diag_bc_run does.
func interpret(t testing.TB, code []byte, e entry) bool {
	t.Helper()
	ne := binary.NativeEndian
	at := 0
	for steps := 0; at < len(code); steps++ {
		if steps > len(code) {
			t.Fatal("the program does not end")
		}
		op := code[at:]
		end, rest := e.local, op[opLen:]
		if op[0] == opRemoteGE || op[0] == opRemoteLE || op[0] == opRemoteCond {
			end = e.remote
		}
		yes := false
		switch op[0] {
		case opJump:
		case opLocalGE, opRemoteGE:
			yes = end.Port() >= ne.Uint16(rest[2:])
		case opLocalLE, opRemoteLE:
			yes = end.Port() <= ne.Uint16(rest[2:])
		case opLocalCond, opRemoteCond:
			port := int32(ne.Uint32(rest[4:]))
			yes = (port == -1 || port == int32(end.Port())) && hostHolds(rest, e.v6, end.Addr())
		default:
			t.Fatalf("no such instruction: %d", op[0])
		}
		if yes {
			at += int(op[1])
		} else {
			at += int(ne.Uint16(op[2:]))
		}
	}
	return at == len(code)
}

// hostHolds compares the address of a struct inet_diag_hostcond.
func hostHolds(cond []byte, v6 bool, addr netip.Addr) bool {
	family, bits := cond[0], int(cond[1])
	b := addr.AsSlice()
	switch {
	case family == netlink.FamilyUnspec:
		return true
	case family == netlink.FamilyIPv4 && v6:
		if !addr.Is4In6() {
			return false
		}
		b = b[12:]
	case (family == netlink.FamilyIPv6) != v6:
		return false
	}
	return bitsEqual(b, cond[8:], bits)
}

func bitsEqual(a, b []byte, bits int) bool {
	n := bits / 8
	if !bytes.Equal(a[:n], b[:n]) {
		return false
	}
	return bits%8 == 0 || (a[n]^b[n])>>(8-bits%8) == 0
}

// audit checks a program as inet_diag_bc_audit does.
func audit(t testing.TB, code []byte) {
	t.Helper()
	starts := map[int]bool{len(code): true}
	for at := 0; at < len(code); at += int(code[at+1]) {
		starts[at] = true
	}
	for at := 0; at < len(code); at += int(code[at+1]) {
		size := map[byte]int{opJump: opLen, opLocalGE: 8, opLocalLE: 8, opRemoteGE: 8, opRemoteLE: 8}[code[at]]
		if code[at] == opLocalCond || code[at] == opRemoteCond {
			size = condLen + map[byte]int{netlink.FamilyUnspec: 0, netlink.FamilyIPv4: 4, netlink.FamilyIPv6: 16}[code[at+4]]
		}
		yes, no := int(code[at+1]), int(binary.NativeEndian.Uint16(code[at+2:]))
		left := len(code) - at
		if yes < size || yes > left || yes%4 != 0 || !starts[at+yes] {
			t.Fatalf("at %d of %x: yes %d, size %d", at, code, yes, size)
		}
		if no < size && code[at] != opJump || no > left+4 || no%4 != 0 || no < left && !starts[at+no] {
			t.Fatalf("at %d of %x: no %d, size %d", at, code, no, size)
		}
	}
}

// some returns one of the values.
func some[T any](r *rand.Rand, values ...T) T { return values[r.IntN(len(values))] }

// The random sockets and conditions are of few values, so that they meet.
func randomAddr(r *rand.Rand) netip.Addr {
	return netip.MustParseAddr(some(r, "127.0.0.1", "127.0.0.2", "127.128.0.1", "10.1.2.3", "0.0.0.0", "::", "::1",
		"fe80::1", "2001:db8::1", "2001:db8:0:1::1", "::ffff:127.0.0.1", "::ffff:10.1.2.3"))
}

func randomPort(r *rand.Rand) uint16 {
	return some[uint16](r, 0, 1, 80, 443, 8080, 40000, 65534, 65535)
}

func randomEndpoints(r *rand.Rand) filter.Endpoints {
	prefix := func() netip.Prefix {
		a := randomAddr(r).Unmap()
		if r.IntN(2) == 0 {
			return netip.Prefix{}
		}
		return netip.PrefixFrom(a, r.IntN(a.BitLen()+1)).Masked()
	}
	ports := func() filter.PortRange {
		switch first := randomPort(r); r.IntN(3) {
		case 0:
			return filter.AnyPort
		case 1:
			return filter.PortRange{First: first, Last: first}
		default:
			return filter.PortRange{First: first, Last: randomPort(r)}
		}
	}
	return filter.Endpoints{Local: prefix(), Remote: prefix(), LocalPorts: ports(), RemotePorts: ports()}
}

func randomEntry(r *rand.Rand) entry {
	for {
		l, m := randomAddr(r), randomAddr(r)
		if l.BitLen() == m.BitLen() {
			return entry{l.Is6(), netip.AddrPortFrom(l, randomPort(r)), netip.AddrPortFrom(m, randomPort(r))}
		}
	}
}

// holds is the model's answer: of mapped addresses it sees the IPv4 address.
func holds(anyOf []filter.Endpoints, e entry) bool {
	unmap := func(ap netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()) }
	for i := range anyOf {
		if anyOf[i].Holds(unmap(e.local), unmap(e.remote)) {
			return true
		}
	}
	return len(anyOf) == 0
}

// TestCompile_Random compares programs with the model: never less, and the
// same where no IPv6 prefix meets a mapped address.
func TestCompile_Random(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	accepted, refused := 0, 0
	for range 5_000 {
		anyOf := make([]filter.Endpoints, r.IntN(4))
		hasV6 := false
		for i := range anyOf {
			anyOf[i] = randomEndpoints(r)
			hasV6 = hasV6 || anyOf[i].Local.Addr().Is6() || anyOf[i].Remote.Addr().Is6()
		}
		listeners := r.IntN(2) == 0
		code := compile(anyOf, listeners)
		audit(t, code)
		for range 20 {
			e := randomEntry(r)
			got, want := interpret(t, code, e), holds(anyOf, e) || listeners && e.remote.Port() == 0
			mapped := e.local.Addr().Is4In6() || e.remote.Addr().Is4In6()
			if want && !got || got && !want && !(hasV6 && mapped) {
				t.Fatalf("%+v\nof %+v: program %v, model %v\n%x", anyOf, e, got, want, code)
			}
			if got {
				accepted++
			} else {
				refused++
			}
		}
	}
	if accepted < 5_000 || refused < 5_000 {
		t.Errorf("accepted %d, refused %d: the test tests little", accepted, refused)
	}
}

func TestCompile_Bounds(t *testing.T) {
	port := filter.OnLocal(netip.Prefix{}, filter.PortRange{First: 80, Last: 80})
	if code := compile([]filter.Endpoints{port, filter.AnyEnds}, true); len(code) != 0 {
		t.Errorf("a condition that always holds gives %x, want no program", code)
	}
	many := make([]filter.Endpoints, 10_000)
	for i := range many {
		many[i] = port
	}
	if code := compile(many, false); len(code) != 0 {
		t.Errorf("10,000 conditions give a program of %d bytes, want none", len(code))
	}
	many = many[:200]
	code := compile(many, true)
	audit(t, code)
	if !interpret(t, code, entry{local: netip.MustParseAddrPort("1.2.3.4:80"), remote: netip.MustParseAddrPort("0.0.0.0:0")}) {
		t.Error("200 times port 80 refuses port 80")
	}
}

func BenchmarkCompile(b *testing.B) {
	port := filter.OnLocal(netip.Prefix{}, filter.PortRange{First: 80, Last: 80})
	e := []filter.Endpoints{port, port.Swapped()}
	b.ReportAllocs()
	for b.Loop() {
		compile(e, true)
	}
}
