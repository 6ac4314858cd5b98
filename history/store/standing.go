package store

import (
	"hash/maphash"
	"net/netip"
	"unsafe"

	"github.com/seed-44df2ae6/whose"
)

// A standing holds the known facts of a session that stands, in a third of the memory
// of an entry: a host may have a million of them. It is never written again, so a commit
// reads it while more becomes known.
type standing struct {
	local, remote end
	flags         uint8
	cookie, inode uint64
	flow          uint64
	from          int64
	// shape holds the facts of few bits.
	shape        uint64
	place        *place
	owners, peer crewKey
}

// standingOf takes the facts of a session that stands. It keeps the lists of owners.
func (t *table) standingOf(f *facts, from int64) *standing {
	return &standing{
		local: endOf(f.local), remote: endOf(f.remote), flags: f.flags, cookie: f.cookie, inode: f.inode, flow: f.flow, from: from,
		shape: shapeOf(&entry{facts: *f}), place: t.places.one(&f.place), owners: crewOf(f.owners), peer: crewOf(f.peer),
	}
}

// facts are all facts of the session.
func (s *standing) facts() facts {
	var e entry
	e.setShape(s.shape)
	e.local, e.remote, e.flags, e.cookie, e.inode, e.flow = s.local.addrPort(), s.remote.addrPort(), s.flags, s.cookie, s.inode, s.flow
	e.place, e.owners, e.peer = *s.place, s.owners.list(), s.peer.list()
	return e.facts
}

// entry returns the row of the table live.
func (s *standing) entry(at int64) entry {
	e := entry{facts: s.facts(), from: s.from, at: at}
	e.kind = stands
	return e
}

// sameStart reports whether an opening with these facts reads as one with facts o.
func (s *standing) sameStart(o *facts) bool {
	f := s.facts()
	return f.sameStart(o)
}

// An end is one end of a session. Its zone is that of the device, which its place has.
type end struct {
	addr  [16]byte
	port  uint16
	width uint8 // of the address in bits, 0 for none
}

func endOf(a netip.AddrPort) end {
	return end{a.Addr().As16(), a.Port(), uint8(a.Addr().BitLen())}
}

func (e *end) addrPort() netip.AddrPort {
	var a netip.Addr
	switch e.width {
	case 32:
		a = netip.AddrFrom4([4]byte(e.addr[12:]))
	case 128:
		a = netip.AddrFrom16(e.addr)
	}
	return netip.AddrPortFrom(a, e.port)
}

// crewOf returns a list of owners by its memory.
func crewOf(owners []whose.Owner) crewKey {
	return crewKey{unsafe.SliceData(owners), len(owners)}
}

func (c crewKey) list() []whose.Owner { return unsafe.Slice(c.first, c.n) }

// places holds the places that sessions share.
type places map[place]*place

// one returns the place that is equal to another.
func (p places) one(of *place) *place {
	if known := p[*of]; known != nil {
		return known
	}
	if len(p) >= maxNames {
		clear(p) // who has one keeps it
	}
	own := *of
	p[own] = &own
	return &own
}

// A liveID is a hash of the key of a session: a map of keys is five times as large. Two
// sessions never have the same in practice, and the seed is by chance, so nobody can
// choose them for it.
type liveID uint64

func idOf(f *facts) liveID {
	if f.cookie == 0 {
		return liveID(maphash.Comparable(nameSeeds()[0], keyOf(f)))
	}
	return liveID(mix(signAddr(f.cookie^idSeed, f.remote.Addr()) ^ uint64(f.remote.Port())))
}

var idSeed = maphash.Comparable(maphash.MakeSeed(), 0)
