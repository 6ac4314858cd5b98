package bpfiter

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/seed-44df2ae6/whose/filter"
)

// meets decides as meets_brief of bpf/question.h does.
func (b *brief) meets(local, remote netip.AddrPort) bool {
	if remote.Port() == 0 {
		return true
	}
	within := func(a netip.AddrPort) bool { return b.portFirst <= a.Port() && a.Port() <= b.portLast }
	has := func(a netip.AddrPort) bool {
		bytes := a.Addr().As16()
		return (binary.NativeEndian.Uint32(bytes[12:])^b.address)&b.mask == 0
	}
	return (within(local) || within(remote)) && (has(local) || has(remote))
}

// TestNewBrief wants no socket lost that meets one of the conditions, and most others
// told apart where the conditions are alike.
func TestNewBrief(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	addr := func() netip.Addr {
		a := [16]byte{0x20, 1, 15: byte(r.IntN(4)), 14: byte(r.IntN(3))}
		if r.IntN(2) == 0 {
			return netip.AddrFrom16(a)
		}
		return netip.AddrFrom4([4]byte(a[12:]))
	}
	end := func() netip.AddrPort { return netip.AddrPortFrom(addr(), uint16(r.IntN(6))) }
	prefix := func() netip.Prefix {
		if r.IntN(3) == 0 {
			return netip.Prefix{}
		}
		a := addr()
		return netip.PrefixFrom(a, a.BitLen()-r.IntN(a.BitLen()+1)).Masked()
	}
	ports := func() filter.PortRange {
		switch first := uint16(r.IntN(6)); r.IntN(3) {
		case 0:
			return filter.AnyPort
		case 1:
			return filter.PortRange{First: first, Last: first}
		default:
			return filter.PortRange{First: first, Last: first + uint16(r.IntN(3))}
		}
	}
	held, refused := 0, 0
	for range 100_000 {
		conditions := make([]filter.Endpoints, 1+r.IntN(3))
		for i := range conditions {
			conditions[i] = filter.Endpoints{Local: prefix(), Remote: prefix(), LocalPorts: ports(), RemotePorts: ports()}
		}
		b, local, remote := newBrief(conditions), end(), end()
		holds := false
		for i := range conditions {
			holds = holds || conditions[i].Holds(local, remote)
		}
		switch meets := b.meets(local, remote); {
		case holds && !meets:
			t.Fatalf("%v %v meets one of %v, and not %+v", local, remote, conditions, b)
		case holds:
			held++
		case !meets:
			refused++
		}
	}
	if held < 1000 || refused < 1000 {
		t.Errorf("%d met the conditions and %d were refused: too few to tell anything", held, refused)
	}
	port := filter.PortRange{First: 443, Last: 443}
	of := filter.Endpoints{LocalPorts: port, RemotePorts: filter.AnyPort}
	want := brief{portFirst: 443, portLast: 443}
	if b := newBrief([]filter.Endpoints{of, of.Swapped()}); b != want {
		t.Errorf("one port at either end: %+v, want %+v", b, want)
	}
}
