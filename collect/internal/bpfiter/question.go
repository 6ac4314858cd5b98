package bpfiter

import (
	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// A question is the message of a reading thread to the program. The thread's
// name carries it, because a pinned iterator takes no arguments; see
// bpf/question.h. The zero value asks for nothing; use [newQuestion].
type question struct {
	part, parts uint8
	states      uint32
	protos      uint32
	flags       uint8
	number      uint32
}

// Flags of a question, enum ask_flag.
const (
	askV4 = 1 << iota
	askV6
	askTCPInfo
	askFull
	askResume
	askWanted
)

// maxParts bounds the threads that share the work.
const maxParts = 63

// newQuestion turns the part of q that fits a name into a question.
func newQuestion(q *source.Query) question {
	ask := question{states: uint32(q.States), protos: uint32(q.Protos)}
	if q.Families.Has(whose.IPv4) {
		ask.flags |= askV4
	}
	if q.Families.Has(whose.IPv6) {
		ask.flags |= askV6
	}
	if q.Needs.Has(whose.NeedTCPInfo) {
		ask.flags |= askTCPInfo
	}
	return ask
}

// resumed returns the question for the rest of an element of the walk. It goes
// back a little, because sockets may have left the chain in between.
func (q question) resumed(r resumption) question {
	const step, back = 64, 2
	n := uint64(r.element)
	if skip := r.done / step; skip > back {
		n |= (skip - back) << 15
	}
	q.flags = q.flags&^askWanted | askResume // there is no room for both
	q.part, q.parts, q.number = uint8(n&0x3f), uint8(n>>6&0x3f), uint32(n>>12)&0xffffff
	return q
}

// Descriptors of each table in a run of fd_walk, as in bpf/fd_walk.bpf.c, and
// the bound on their numbers in a question.
const (
	window       = 160
	windowTCP    = 128
	windowWanted = 2048
	maxStart     = 1 << 24
	// tooMany stands for the end of a table not shown in full.
	tooMany = 1<<64 - 1
)

// window returns how many descriptors of each table the question shows.
func (q question) window() uint32 {
	switch {
	case q.flags&askWanted != 0:
		return windowWanted
	case q.flags&askTCPInfo != 0:
		return windowTCP
	}
	return window
}

// from returns the question for the window beginning with this descriptor.
func (q question) from(start uint32) question {
	if q.flags&askWanted != 0 {
		q.states, q.protos = start&(1<<18-1), start>>18
	} else {
		q.number = start
	}
	return q
}

// name returns the question as a thread's name, NUL-terminated.
func (q question) name() [16]byte {
	six := func(n uint32) byte { return byte(n&0x3f) + '0' }
	return [16]byte{
		'w', 'h', 'o', ':',
		six(uint32(q.part)), six(uint32(q.parts)),
		six(q.states), six(q.states >> 6), six(q.states >> 12),
		six(q.protos), six(uint32(q.flags)),
		six(q.number), six(q.number >> 6), six(q.number >> 12), six(q.number >> 18),
	}
}
