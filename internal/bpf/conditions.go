package bpf

import (
	"net/netip"
	"structs"

	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/internal/source"
)

const (
	maxEnds  = 8
	maxNetNS = 8
)

// Conditions are those of a query on the namespace and the ends of a socket, as
// programs have them in their memory: struct conditions of conditions.h. The zero
// value is none, which every socket meets.
type Conditions struct {
	_             structs.HostLayout
	nNetNS, nEnds uint32
	netns         [maxNetNS]uint32
	ends          [maxEnds]endsCondition
}

// An endsCondition is struct ends_condition.
type endsCondition struct {
	_                                            structs.HostLayout
	local, localMask, remote, remoteMask         [16]byte
	lportFirst, lportLast, rportFirst, rportLast uint16
}

// NewConditions returns the conditions of q. If there are more of a kind than
// programs take, there are none of it: the programs never give too little.
func NewConditions(q *source.Query) Conditions {
	var c Conditions
	if len(q.NetNS) <= maxNetNS {
		c.nNetNS = uint32(copy(c.netns[:], q.NetNS))
	}
	if len(q.Any) > maxEnds {
		return c
	}
	for i := range q.Any {
		c.ends[i] = newEndsCondition(&q.Any[i])
	}
	c.nEnds = uint32(len(q.Any))
	return c
}

// AddUnconnected has sockets without a remote end meet the conditions too, as
// listeners are.
func (c *Conditions) AddUnconnected() {
	switch c.nEnds {
	case 0: // they do
	case maxEnds:
		c.nEnds, c.ends = 0, [maxEnds]endsCondition{}
	default:
		c.ends[c.nEnds] = endsCondition{lportLast: 0xffff}
		c.nEnds++
	}
}

// HasEnds reports whether there is a condition on the ends.
func (c *Conditions) HasEnds() bool { return c.nEnds > 0 }

// HasNetNS reports whether there is a condition on the namespace.
func (c *Conditions) HasNetNS() bool { return c.nNetNS > 0 }

func newEndsCondition(e *filter.Endpoints) endsCondition {
	var c endsCondition
	c.local, c.localMask = prefixBits(e.Local)
	c.remote, c.remoteMask = prefixBits(e.Remote)
	c.lportFirst, c.lportLast = e.LocalPorts.First, e.LocalPorts.Last
	c.rportFirst, c.rportLast = e.RemotePorts.First, e.RemotePorts.Last
	return c
}

// prefixBits returns the prefix as address and mask of 16 bytes, IPv4 as
// IPv4-mapped. The mask of the zero prefix fits every address.
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
