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
	// flow: the ids of connections are wanted.
	flow   bool
	flags  uint8
	number uint32
	// own is about a namespace's own table, if there is one.
	own ownTable
}

// An ownTable is a place in the table of sockets that a namespace has for
// itself. The zero value is none.
type ownTable struct {
	netns uint32
	udp   bool
	// skip counts the sockets already passed, in steps.
	skip uint32
}

// Flags of a question, enum ask_flag.
const (
	askV4 = 1 << iota
	askV6
	askTCPInfo
	askFull
	askResume
	askWanted
	// askMarks, of fd_walk, has the bit that is askFull of the walk of the tables.
	askMarks = askFull

	// askFlow is beside the protocols.
	askFlow = 1 << 5
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
	if q.Needs&(whose.NeedTCPInfo|whose.NeedTimer) != 0 { // there is room for one bit
		ask.flags |= askTCPInfo
	}
	ask.flow = q.Needs.Has(whose.NeedFlow)
	return ask
}

// kinds returns the protocols, with the bit beside them that asks for flow ids.
func (q question) kinds() uint32 {
	if q.flow {
		return q.protos | askFlow
	}
	return q.protos
}

// Elements of the walk that are the own tables of a namespace, as in
// bpf/tables.h.
const (
	ownTCP = 16384
	ownUDP = 16385
)

// The elements of the walk that name namespaces: NETNS_BASE of bpf/hash_walk.bpf.c,
// NETNS_ELEMENTS and NETNS_PER_ELEMENT of bpf/tables.h.
const (
	netnsBase       = 2256
	netnsElements   = 16
	netnsPerElement = 256
)

// resumed returns the question for the rest of an element of the walk. It goes
// back a little, because sockets may have left the chain in between, and by less
// than a read gives: 28 KiB of sockets with their figures are 149.
func (q question) resumed(r resumption) question {
	const step, back = 32, 2
	skip := r.done/step - min(r.done/step, back)
	q.flags = q.flags&^askWanted | askResume // there is no room for both
	if r.element >= ownTCP {
		q.own = ownTable{r.from, r.element == ownUDP, skip}
		return q
	}
	n := uint64(r.element) | uint64(skip)<<15
	q.part, q.parts, q.number = uint8(n&0x3f), uint8(n>>6&0x3f), uint32(n>>12)&0xffffff
	return q
}

// Descriptors that a run of fd_walk looks at of each table, as in
// bpf/fd_walk.bpf.c, and the bound on their numbers in a question.
const (
	fdRange  = 4096
	maxStart = 1 << 24
)

// startingAt returns the question for the descriptors from this one on.
func (q question) startingAt(start uint32) question {
	if q.flags&askWanted != 0 {
		q.states, q.protos, q.flow = start&(1<<18-1), start>>18, false
	} else {
		q.number = start
	}
	return q
}

// In a question for one process a start is in units of so many descriptors, and is
// below maxAloneStart; its upper bits are beside those of the states.
const (
	aloneUnit     = 64
	aloneStates   = 15
	maxAloneStart = aloneUnit << (2*6 + 18 - aloneStates)
)

// maxPID is the highest number that a kernel gives (PID_MAX_LIMIT).
const maxPID = 1 << 22

// ofProcess returns the question for the descriptors of one process from the
// greatest multiple of aloneUnit up to start on.
func (q question) ofProcess(pid, start uint32) question {
	n := start / aloneUnit
	q.flags = q.flags&^askWanted | askResume
	q.number = pid
	q.part, q.parts = uint8(n&0x3f), uint8(n>>6&0x3f)
	q.states = q.states&(1<<aloneStates-1) | n>>12<<aloneStates
	return q
}

// name returns the question as a thread's name, NUL-terminated.
func (q question) name() [16]byte {
	if q.own.netns != 0 {
		return q.ownName()
	}
	six := func(n uint32) byte { return byte(n&0x3f) + '0' }
	return [16]byte{
		'w', 'h', 'o', ':',
		six(uint32(q.part)), six(uint32(q.parts)),
		six(q.states), six(q.states >> 6), six(q.states >> 12),
		six(q.kinds()), six(uint32(q.flags)),
		six(q.number), six(q.number >> 6), six(q.number >> 12), six(q.number >> 18),
	}
}

// ownName returns the question for an own table.
func (q question) ownName() [16]byte {
	seven := func(n uint32) byte { return byte(n&0x7f) + '0' }
	top := q.own.netns >> 28
	if q.own.udp {
		top |= 1 << 4
	}
	if q.flow {
		top |= 1 << 5
	}
	last := uint32(q.flags & (askV4 | askV6 | askTCPInfo | askFull))
	for i, p := range []whose.Proto{whose.TCP, whose.UDP, whose.MPTCP} {
		last |= q.protos >> p & 1 << (4 + i)
	}
	states := q.states >> 1
	return [16]byte{
		'o', 'w', 'n', ':',
		seven(q.own.netns), seven(q.own.netns >> 7), seven(q.own.netns >> 14), seven(q.own.netns >> 21), seven(top),
		seven(q.own.skip), seven(q.own.skip >> 7), seven(q.own.skip >> 14),
		seven(states), seven(states >> 7), seven(last),
	}
}
