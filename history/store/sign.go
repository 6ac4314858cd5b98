package store

import (
	"encoding/binary"
	"net/netip"

	"github.com/seed-44df2ae6/whose/filter"
)

// The sign of a block is a Bloom filter of its addresses and ports. A question
// about one address reads only the blocks that may have it: of the others one in
// fifty.

const (
	signBits   = 8 // for each address or port
	signHashes = 4
)

// Addresses and ports of the two sides differ in their mark.
const (
	markLocal  = 1
	markRemote = 2
)

// mix makes a well spread number of another (the finalizer of splitmix64).
func mix(n uint64) uint64 {
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
	n = (n ^ n>>27) * 0x94d049bb133111eb
	return n ^ n>>31
}

func signAddr(mark uint64, a netip.Addr) uint64 {
	b := a.Unmap().As16()
	return mix(mix(binary.LittleEndian.Uint64(b[:8])+mark) ^ binary.LittleEndian.Uint64(b[8:]))
}

func signPort(mark uint64, port uint16) uint64 { return mix(mark<<32 | uint64(port) | 1<<40) }

// A sign is the text of a Bloom filter.
type sign []byte

// signOf returns the sign of entries.
func signOf(entries []entry) sign {
	seen := make(map[uint64]struct{}, 2*len(entries))
	for i := range entries {
		e := &entries[i]
		for _, h := range [...]uint64{
			signAddr(markLocal, e.local.Addr()), signAddr(markRemote, e.remote.Addr()),
			signPort(markLocal, e.local.Port()), signPort(markRemote, e.remote.Port()),
		} {
			seen[h] = struct{}{}
		}
	}
	s := make(sign, (len(seen)*signBits+7)/8)
	for h := range seen {
		s.each(h, func(at, bit uint64) bool { s[at] |= 1 << bit; return true })
	}
	return s
}

// each calls fn with the places of a hash, until it returns false.
func (s sign) each(h uint64, fn func(at, bit uint64) bool) bool {
	n := uint64(len(s)) * 8
	step := h>>32 | 1
	for range signHashes {
		if !fn(h%n/8, h%n%8) {
			return false
		}
		h += step
	}
	return true
}

// may reports whether the block may have the value of the hash.
func (s sign) may(h uint64) bool {
	return len(s) == 0 || s.each(h, func(at, bit uint64) bool { return s[at]&(1<<bit) != 0 })
}

// mayMeet reports whether the block may have a session that meets one of the
// conditions, nil for no condition.
func (s sign) mayMeet(any []filter.Endpoints) bool {
	for i := range any {
		if s.meets(&any[i]) {
			return true
		}
	}
	return len(any) == 0
}

func (s sign) meets(e *filter.Endpoints) bool {
	return s.mayPort(markLocal, e.LocalPorts) && s.mayPort(markRemote, e.RemotePorts) &&
		s.mayAddr(markLocal, e.Local) && s.mayAddr(markRemote, e.Remote)
}

func (s sign) mayPort(mark uint64, r filter.PortRange) bool {
	return r.First != r.Last || s.may(signPort(mark, r.First))
}

func (s sign) mayAddr(mark uint64, p netip.Prefix) bool {
	return !p.IsValid() || !p.IsSingleIP() || s.may(signAddr(mark, p.Addr()))
}
