package bpfiter

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"structs"

	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/internal/bpf"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// wantedBits is the number of bits of a wanted, as a power of two.
const wantedBits = 15

// A wanted says which sockets are asked for, beyond a question: struct wanted of
// bpf/question.h. Programs read it from the memory of the process that asks. It
// only narrows: without it a program gives everything.
type wanted struct {
	_              structs.HostLayout
	has            uint32
	brief          brief
	states, protos uint32 // for fd_walk
	conditions     bpf.Conditions
	summary        uint64
	bits           [1 << wantedBits / 64]uint64
}

// Parts of a wanted that programs look at, enum wanted_has.
const (
	hasBits = 1 << iota
	hasEnds
	hasNetNS
	hasPairs
	hasFirst
)

// A brief is what all conditions on the ends have in common, struct brief. A socket
// with a remote end that meets one of them has a port within the range at one of its
// ends, and an address with these bits.
type brief struct {
	_                   structs.HostLayout
	portFirst, portLast uint16
	address, mask       uint32
}

// setConditions makes it the conditions of the query, and no more.
func (w *wanted) setConditions(q *source.Query, ask question) {
	c := bpf.NewConditions(q)
	if q.Listeners {
		c.AddUnconnected()
	}
	w.has, w.brief, w.conditions = 0, brief{}, c
	w.states, w.protos = ask.states, ask.kinds()
	if c.HasEnds() {
		w.brief = newBrief(q.Any)
		w.has = hasEnds
	}
	if c.HasNetNS() {
		w.has |= hasNetNS
	}
}

// newBrief returns what the conditions have in common.
func newBrief(any []filter.Endpoints) brief {
	var b brief
	for i := range any {
		ports := narrower(any[i].LocalPorts, any[i].RemotePorts)
		address, mask := lastBits(any[i].Local)
		if a, m := lastBits(any[i].Remote); bits.OnesCount32(m) > bits.OnesCount32(mask) {
			address, mask = a, m
		}
		if i == 0 {
			b = brief{portFirst: ports.First, portLast: ports.Last, address: address, mask: mask}
			continue
		}
		b.portFirst, b.portLast = min(b.portFirst, ports.First), max(b.portLast, ports.Last)
		b.mask &= mask &^ (b.address ^ address)
	}
	b.address &= b.mask
	return b
}

func narrower(a, b filter.PortRange) filter.PortRange {
	if a.Last-a.First <= b.Last-b.First {
		return a
	}
	return b
}

// lastBits returns the last 32 bits of the prefix, and which of them count, in the
// order of the memory of programs.
func lastBits(p netip.Prefix) (address, mask uint32) {
	if !p.IsValid() {
		return 0, 0
	}
	a := p.Addr().As16()
	last := max(p.Bits()-(p.Addr().BitLen()-32), 0)
	var m [4]byte
	binary.BigEndian.PutUint32(m[:], uint32(0xffffffff<<(32-last)))
	return binary.NativeEndian.Uint32(a[12:]), binary.NativeEndian.Uint32(m[:])
}

// A portPair is a local and a remote port.
type portPair struct{ local, remote uint16 }

// setPairs narrows it to sockets with these ports, and those without a remote one.
func (w *wanted) setPairs(pairs map[portPair]bool) {
	w.empty()
	w.has = w.has&^hasBits | hasPairs
	for p := range pairs {
		w.add(uint64((uint32(p.local)<<16 | uint32(p.remote)) * 0x9e3779b1 >> (32 - wantedBits)))
	}
}

// setInodes narrows it to the sockets.
func (w *wanted) setInodes(sockets []sighting) {
	w.empty()
	for _, at := range sockets {
		w.add(uint64(at.inode))
	}
}

// setKeys narrows it to the files with these keys, in whatever state their sockets
// are by now.
func (w *wanted) setKeys(keys []uint64) {
	w.empty()
	w.states, w.protos = ^uint32(0), w.protos|^uint32(askFlow)
	for _, key := range keys {
		w.add(key)
	}
}

func (w *wanted) empty() {
	clear(w.bits[:])
	w.summary = 0
	w.has = w.has&^hasPairs | hasBits
}

func (w *wanted) add(n uint64) {
	w.summary |= 1 << (n >> wantedBits & 63)
	n &= 1<<wantedBits - 1
	w.bits[n/64] |= 1 << (n % 64)
}
