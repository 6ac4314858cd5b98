package ledger

import (
	"slices"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/pair"
	"github.com/seed-44df2ae6/whose/internal/shrink"
)

// A place is the position of an entry in the table; noPlace is none.
type place uint32

const noPlace = ^place(0)

// slabSize is the number of entries allocated at once. Below fewSlabs none is given
// back.
const (
	slabSize = 1024
	fewSlabs = 16
)

// A slab holds entries, inUse of them taken.
type slab struct {
	entries [slabSize]entry
	inUse   int
}

// A table holds the sessions by their identities, in slabs whose places are
// used again.
type table struct {
	slabs []*slab // nil: given back
	// spare is the slab given back last, so that a place that comes and goes does not
	// make one each time.
	spare *slab
	free  []place
	used  place // places that were ever used
	limit int

	sockets shrink.Map[uint64, place]
	flows   shrink.Map[FlowKey, place]
	streams int // how many of flows are MPTCP
	ends    shrink.Map[endsKey, place]
	// listeners are those of TCP and the bound sockets of UDP, by the key shared by
	// all that may take the same session.
	listeners map[pair.Port][]place
	// chains finds the peer of a session.
	chains chains
	// netns counts the sessions of each network namespace.
	netns map[uint32]int
	// byKind counts the wanted sessions. It answers a question about only
	// protocol, family and state without a look at any session.
	byKind [numProtos][2][numStates]int32
	wanted int
}

const (
	numProtos = int(whose.MPTCP) + 1
	numStates = 16
)

func newTable(limit int) *table {
	return &table{
		limit: limit, listeners: make(map[pair.Port][]place), netns: make(map[uint32]int),
	}
}

// expect makes room for so many sessions in an empty table, so that it need not
// grow step by step.
func (t *table) expect(n int) {
	n = min(n, t.limit)
	t.sockets.Expect(n)
	for t.chains.heads == nil || len(t.chains.heads) < 2*n {
		t.growChains()
	}
}

func (t *table) len() int { return int(t.used) - len(t.free) }

func (t *table) at(p place) *entry { return &t.slabs[p/slabSize].entries[p%slabSize] }

// find returns the place of session e: by cookie, by cookie and remote end for
// a flow, or by its ends if the cookie is unknown.
func (t *table) find(e *entry) (place, bool) {
	var p place
	var ok bool
	switch {
	case e.cookie == 0:
		p, ok = t.ends.Get(e.endsKey())
	case e.is(isFlow):
		p, ok = t.flows.Get(e.flowKey())
	default:
		p, ok = t.sockets.Get(e.cookie)
	}
	return p, ok
}

// add puts an entry into the table, false where there is no room. The entry
// must not be in it already.
func (t *table) add(e *entry) (place, bool) {
	if t.len() >= t.limit {
		return noPlace, false
	}
	var p place
	if n := len(t.free); n > 0 {
		p, t.free = t.free[n-1], t.free[:n-1]
	} else {
		p = t.used
		t.used++
		if int(p/slabSize) == len(t.slabs) {
			t.slabs = append(t.slabs, nil)
		}
	}
	t.takeIn(p)
	e.flags |= inUse
	*t.at(p) = *e
	switch {
	case e.cookie == 0:
		t.ends.Set(e.endsKey(), p)
	case e.is(isFlow):
		t.flows.Set(e.flowKey(), p)
		if e.sharesCookie() {
			t.streams++
		}
	default:
		t.sockets.Set(e.cookie, p)
	}
	if e.takes() {
		k := e.Port()
		t.listeners[k] = append(t.listeners[k], p)
	}
	t.netns[e.NetNS]++
	t.link(p)
	t.count(e, 1)
	return p, true
}

// remove takes the entry at p out of the table.
func (t *table) remove(p place) {
	e := t.at(p)
	switch {
	case e.cookie == 0:
		t.ends.Delete(e.endsKey())
	case e.is(isFlow):
		t.flows.Delete(e.flowKey())
		if e.sharesCookie() {
			t.streams--
		}
	default:
		t.sockets.Delete(e.cookie)
	}
	if e.takes() {
		t.forgetListener(e.Port(), p)
	}
	if t.netns[e.NetNS]--; t.netns[e.NetNS] == 0 {
		delete(t.netns, e.NetNS)
	}
	t.count(e, -1)
	if e.is(linked) {
		t.unlink(p)
	}
	*e = entry{}
	t.free = append(t.free, p)
	t.giveBack(p)
}

// takeIn notes that the place p is taken, and makes its slab where there is none.
func (t *table) takeIn(p place) {
	s := &t.slabs[p/slabSize]
	if *s == nil {
		if *s, t.spare = t.spare, nil; *s == nil {
			*s = new(slab)
		}
	}
	(*s).inUse++
}

// giveBack notes that the place p is free. After a burst most places are, and slabs
// without a session are given back.
func (t *table) giveBack(p place) {
	s := t.slabs[p/slabSize]
	if s.inUse--; s.inUse == 0 && len(t.slabs) > fewSlabs && len(t.free) > int(t.used)/2 {
		t.slabs[p/slabSize], t.spare = nil, s
	}
}

// takes reports whether an entry is a listener, and not a flow of one.
func (e *entry) takes() bool { return e.IsListener() && e.RemotePort == 0 }

func (t *table) forgetListener(k pair.Port, p place) {
	left := slices.DeleteFunc(t.listeners[k], func(l place) bool { return l == p })
	if len(left) == 0 {
		delete(t.listeners, k)
		return
	}
	t.listeners[k] = left
}

// change lets f change the counted facts of an entry: its state, and whether it
// is wanted. Its identity stays.
func (t *table) change(e *entry, f func(*entry)) {
	t.count(e, -1)
	f(e)
	t.count(e, 1)
}

func (t *table) count(e *entry, n int32) {
	if !e.is(wanted) {
		return
	}
	t.wanted += int(n)
	t.byKind[int(e.Proto)%numProtos][familyIndex(e.Family)][e.State%numStates] += n
}

func familyIndex(f whose.Family) int {
	if f == whose.IPv6 {
		return 1
	}
	return 0
}

// sumOf returns the number of wanted sessions of the given kinds.
func (t *table) sumOf(protos whose.Set[whose.Proto], families whose.Set[whose.Family], states whose.Set[whose.State]) int {
	sum := 0
	for p := range t.byKind {
		if !protos.Has(whose.Proto(p)) {
			continue
		}
		for i, family := range [...]whose.Family{whose.IPv4, whose.IPv6} {
			if !families.Has(family) {
				continue
			}
			for s, n := range t.byKind[p][i] {
				if states.Has(whose.State(s)) {
					sum += int(n)
				}
			}
		}
	}
	return sum
}

// slab returns the used and formerly used entries of slab i; none where there
// is no such slab.
func (t *table) slab(i int) []entry {
	first := i * slabSize
	if first >= int(t.used) || t.slabs[i] == nil {
		return nil
	}
	return t.slabs[i].entries[:min(slabSize, int(t.used)-first)]
}

// each calls f for each entry in use, in no order, until f returns false. f may
// remove its entry.
func (t *table) each(f func(p place, e *entry) bool) {
	for i := range t.slabs {
		s, entries := t.slabs[i], t.slab(i)
		for k := range entries {
			if e := &entries[k]; e.is(inUse) && !f(place(i*slabSize+k), e) {
				return
			}
			if t.slabs[i] != s {
				break // it was given back: nothing in it is left
			}
		}
	}
}

// listenerOf returns the place of the listener that takes a session; noPlace if
// none is known.
func (t *table) listenerOf(e *entry) place {
	best, highest := noPlace, 0
	for _, p := range t.listeners[e.Port()] {
		if rank := t.at(p).Rank(&e.End); rank > highest {
			best, highest = p, rank
		}
	}
	return best
}
