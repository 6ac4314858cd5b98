package bpfiter

import (
	"net/netip"
	"structs"

	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// The part of a query that does not fit a thread's name: the process that
// loaded the programs puts it into their memory, as bpf/question.h lays it
// out. A pinned iterator goes without, and more of what it gives is dropped
// here.

const (
	maxEnds  = 8
	maxNetNS = 8
)

type ends struct {
	_                                            structs.HostLayout
	local, localMask, remote, remoteMask         [16]byte
	lportFirst, lportLast, rportFirst, rportLast uint16
}

type narrow struct {
	_             structs.HostLayout
	nNetNS, nEnds uint32
	netns         [maxNetNS]uint32
	ends          [maxEnds]ends
}

// newNarrow turns the conditions of q into what the programs take. More than
// they take is no condition, which is never too little.
func newNarrow(q *source.Query) narrow {
	var n narrow
	if len(q.NetNS) <= maxNetNS {
		n.nNetNS = uint32(copy(n.netns[:], q.NetNS))
	}
	if len(q.Any) == 0 {
		return n
	}
	all := make([]ends, 0, maxEnds)
	for i := range q.Any {
		all = append(all, newEnds(&q.Any[i]))
	}
	if q.Listeners { // which have no peer, as other sockets without one
		all = append(all, ends{lportLast: 0xffff})
	}
	if len(all) <= maxEnds {
		n.nEnds = uint32(copy(n.ends[:], all))
	}
	return n
}

func newEnds(e *filter.Endpoints) ends {
	var t ends
	t.local, t.localMask = prefixBits(e.Local)
	t.remote, t.remoteMask = prefixBits(e.Remote)
	t.lportFirst, t.lportLast = e.LocalPorts.First, e.LocalPorts.Last
	t.rportFirst, t.rportLast = e.RemotePorts.First, e.RemotePorts.Last
	return t
}

// prefixBits returns the prefix as address and mask of 16 bytes, IPv4 as
// IPv4-mapped. The zero prefix gives a mask that every address meets.
func prefixBits(p netip.Prefix) (addr, mask [16]byte) {
	if !p.IsValid() {
		return addr, mask
	}
	addr = p.Masked().Addr().As16()
	bits := p.Bits()
	if p.Addr().Is4() {
		bits += 96
	}
	for i := range mask {
		left := min(max(bits-8*i, 0), 8)
		mask[i] = byte(0xff << (8 - left))
	}
	return addr, mask
}
