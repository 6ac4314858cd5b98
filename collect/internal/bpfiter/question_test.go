package bpfiter

import (
	"cmp"
	"testing"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/source"
)

func TestQuestion_Name(t *testing.T) {
	for _, test := range []struct {
		q    question
		want string
	}{
		{question{}, "who:00000000000"},
		{question{part: 1, parts: 2, states: 1<<whose.Listen | 1<<whose.Established, protos: 1 << whose.TCP, flags: askV4 | askV6},
			"who:122@023" + "0000"},
		{question{number: 1<<24 - 1, parts: maxParts}, "who:0o00000oooo"},
	} {
		name := test.q.name()
		if got := string(name[:15]); got != test.want || name[15] != 0 {
			t.Errorf("%+v: name %q, want %q", test.q, got, test.want)
		}
	}
}

// TestOfProcess keeps states, process and place, all that a name has room for.
func TestOfProcess(t *testing.T) {
	all := newQuestion(asking(source.Query{}))
	for _, start := range []uint32{0, 64, 100, 4096, 262_144, 1_048_576, maxAloneStart - 1} {
		q := all.ofProcess(maxPID, start)
		unit := uint32(q.part) | uint32(q.parts)<<6 | q.states>>aloneStates<<12
		if unit != start/aloneUnit || q.states&(1<<aloneStates-1) != all.states || q.number != maxPID || q.states>>18 != 0 {
			t.Errorf("from %d: %+v", start, q)
		}
	}
}

func TestNewQuestion(t *testing.T) {
	all := newQuestion(asking(source.Query{}))
	if all.states != uint32(whose.AllStates) || all.flags != askV4|askV6 || all.protos != 1<<1|1<<2|1<<3|1<<4 {
		t.Errorf("the zero query asks for %+v", all)
	}
	q := newQuestion(asking(source.Query{
		States: whose.SetOf(whose.Listen), Protos: whose.SetOf(whose.UDP), Families: whose.SetOf(whose.IPv6), Needs: whose.NeedTCPInfo,
	}))
	if q.states != 1<<whose.Listen || q.protos != 1<<whose.UDP || q.flags != askV6|askTCPInfo {
		t.Errorf("asks for %+v", q)
	}
}

func TestResumed(t *testing.T) {
	for _, r := range []resumption{{5, 0, 0}, {5, 100, 0}, {16_383, 1792, 0}, {9_000, 60_000_000, 0}} {
		q := question{states: 1, protos: 2}.resumed(r)
		point := uint64(q.part) | uint64(q.parts)<<6 | uint64(q.number)<<12
		element, skip := uint32(point&0x7fff), uint32(point>>15<<5)
		if element != r.element || skip > r.done || r.done-skip > 160 || q.flags&askResume == 0 {
			t.Errorf("%+v: element %d, skip %d, flags %#x", r, element, skip, q.flags)
		}
	}
}

// TestResumed_Own keeps the whole number of the namespace.
func TestResumed_Own(t *testing.T) {
	all := newQuestion(asking(source.Query{Needs: whose.NeedTCPInfo}))
	names := make(map[[16]byte]resumption)
	for _, r := range []resumption{
		{ownTCP, 0, 0xF0000005}, {ownUDP, 0, 0xF0000005}, {ownTCP, 0, 0xF0002005}, {ownTCP, 0, 0x10000005}, {ownTCP, 0, 0xF0000004},
		{ownTCP, 1000, 0xF0000005}, {ownTCP, 60_000_000, 0xF0000005}, {ownTCP, 0, 0xFFFFFFFF},
	} {
		name := all.resumed(r).name()
		if before, ok := names[name]; ok {
			t.Errorf("%+v has the name of %+v: %q", r, before, name)
		}
		names[name] = r
		for i, b := range name[:15] {
			if b == 0 {
				t.Errorf("%+v: the name %q ends at %d", r, name, i)
			}
		}
	}
}

// asking completes a query with all protocols, families and states where it
// names none.
func asking(q source.Query) *source.Query {
	q.Protos = cmp.Or(q.Protos, whose.AllProtos)
	q.Families = cmp.Or(q.Families, whose.AllFamilies)
	q.States = cmp.Or(q.States, whose.AllStates)
	return &q
}
