package bpfevent

import (
	"net/netip"
	"structs"

	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// The conditions of a query as the programs take them, laid out by bpf/ring.h.

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
	if len(q.Any) > maxEnds {
		return n
	}
	for i := range q.Any {
		n.ends[i] = newEnds(&q.Any[i])
	}
	n.nEnds = uint32(len(q.Any))
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
	bits := p.Bits()
	if p.Addr().Is4() {
		bits += 96
	}
	for i := range mask {
		mask[i] = byte(0xff << (8 - min(max(bits-8*i, 0), 8)))
	}
	return p.Masked().Addr().As16(), mask
}
