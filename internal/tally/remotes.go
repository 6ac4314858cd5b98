package tally

import (
	"hash/maphash"
	"net/netip"
)

// MaxRemoteHosts is the greatest number of distinct remote hosts. More are not
// counted, so memory stays bounded.
const MaxRemoteHosts = 1 << 17

// maxPairs bounds the pairs of a group and a remote host.
const maxPairs = 4 * MaxRemoteHosts

// remotes numbers remote addresses, each once, from 1. It uses open addressing
// over flat arrays: 20 to 30 bytes for an address. The hash has a seed of its
// own, since others choose the addresses.
type remotes struct {
	seed  maphash.Seed
	slots []uint32
	addrs [][16]byte
	// public counts those outside of loopback.
	public int
}

// number returns the number of an address, 0 for none: the unspecified address,
// and a new one above the bound.
func (r *remotes) number(addr netip.Addr) uint32 {
	if !addr.IsValid() || addr.IsUnspecified() {
		return 0
	}
	if 4*len(r.addrs) >= 3*len(r.slots) {
		r.grow()
	}
	key := addr.As16()
	at := r.find(&key)
	if n := r.slots[at]; n != 0 {
		return n
	}
	if len(r.addrs) >= MaxRemoteHosts {
		return 0
	}
	r.addrs = append(r.addrs, key)
	r.slots[at] = uint32(len(r.addrs))
	if !addr.Unmap().IsLoopback() {
		r.public++
	}
	return r.slots[at]
}

// find returns the slot of the address, or the empty slot for it.
func (r *remotes) find(key *[16]byte) int {
	mask := len(r.slots) - 1
	at := int(maphash.Bytes(r.seed, key[:])) & mask
	for r.slots[at] != 0 && r.addrs[r.slots[at]-1] != *key {
		at = (at + 1) & mask
	}
	return at
}

func (r *remotes) grow() {
	if r.slots == nil {
		r.seed = maphash.MakeSeed()
	}
	r.slots = make([]uint32, max(64, 2*len(r.slots)))
	for i := range r.addrs {
		r.slots[r.find(&r.addrs[i])] = uint32(i + 1)
	}
}

// pairs is a set of pairs of a group and a host, 8 to 20 bytes each.
type pairs struct {
	slots []uint64
	n     int
	last  uint64
}

// add adds a pair of a group and a host and reports whether it is new. Host 0 is
// none.
func (p *pairs) add(group int32, host uint32) bool {
	key := uint64(group)<<32 | uint64(host)
	if host == 0 || key == p.last || p.n >= maxPairs {
		return false
	}
	if 4*p.n >= 3*len(p.slots) {
		p.grow()
	}
	at := p.find(key)
	p.last = key
	if p.slots[at] == key {
		return false
	}
	p.slots[at] = key
	p.n++
	return true
}

func (p *pairs) find(key uint64) int {
	mask := uint64(len(p.slots) - 1)
	at := (key * 0x9e3779b97f4a7c15) >> 20 & mask
	for p.slots[at] != 0 && p.slots[at] != key {
		at = (at + 1) & mask
	}
	return int(at)
}

func (p *pairs) grow() {
	old := p.slots
	p.slots = make([]uint64, max(64, 2*len(old)))
	for _, key := range old {
		if key != 0 {
			p.slots[p.find(key)] = key
		}
	}
}

// each calls do with every pair.
func (p *pairs) each(do func(group int32, host uint32)) {
	for _, key := range p.slots {
		if key != 0 {
			do(int32(key>>32), uint32(key))
		}
	}
}
