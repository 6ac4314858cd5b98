package collect

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// plainOrder compares as the documents say it.
func plainOrder(j *joined, a, b uint32) int {
	x, y := &j.sockets[a], &j.sockets[b]
	return cmp.Or(
		falseFirst(!isListener(x), !isListener(y)),
		compareOwner(j, a, b),
		cmp.Compare(x.Proto, y.Proto),
		cmp.Compare(x.LocalPort, y.LocalPort),
		compareSockets(x, y),
	)
}

func falseFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

func compareOwner(j *joined, a, b uint32) int {
	x, y := j.holdersOf(int(a)), j.holdersOf(int(b))
	if len(x) == 0 || len(y) == 0 {
		return falseFirst(len(x) == 0, len(y) == 0)
	}
	p, q := j.procs[x[0].proc], j.procs[y[0].proc]
	return cmp.Or(cmp.Compare(p.Comm, q.Comm), cmp.Compare(p.PID, q.PID))
}

func TestOrder_AgreesWithPlainOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	var o orderer
	for _, n := range []int{0, 1, 2, 63, 64, 1000} {
		j := randomJoined(r, n)
		o.reset(n)
		var want []uint32
		for i := range n {
			o.places = append(o.places, place{at: uint32(i)})
			want = append(want, uint32(i))
		}
		slices.SortFunc(want, func(a, b uint32) int { return plainOrder(j, a, b) })
		o.byDefault(j, func(i uint32) (uint32, bool) {
			h := j.holdersOf(int(i))
			if len(h) == 0 {
				return 0, false
			}
			return h[0].proc, true
		})
		for i, p := range o.places {
			if plainOrder(j, p.at, want[i]) != 0 {
				t.Fatalf("%d sockets: place %d holds socket %d, want %d", n, i, p.at, want[i])
			}
		}
	}
}

// randomJoined makes sockets of few distinct values, so that every step of the
// order has ties to break.
func randomJoined(r *rand.Rand, n int) *joined {
	j := &joined{}
	sockets := make([]source.Socket, n)
	var holdings []source.Holding
	for i := range sockets {
		s := &sockets[i]
		s.Inode = uint64(i + 1)
		s.Proto = whose.Proto(1 + r.IntN(2))
		s.State = []whose.State{whose.Listen, whose.Established, whose.Unconn}[r.IntN(3)]
		s.LocalPort, s.RemotePort = uint16(r.IntN(3)), uint16(r.IntN(3))
		for _, a := range []*[16]byte{&s.Local, &s.Remote} {
			if r.IntN(2) == 0 {
				*a = [16]byte{10: 0xff, 11: 0xff, 12: byte(r.IntN(2)), 15: byte(r.IntN(3))}
			} else {
				*a = [16]byte{0: 0xfe, 8: byte(r.IntN(2)), 15: byte(r.IntN(3))}
			}
		}
		if r.IntN(5) > 0 {
			holdings = append(holdings, source.Holding{Inode: s.Inode, PID: 1 + r.Uint32N(6), FD: 3})
		}
	}
	j.unique(sockets)
	j.attach(holdings, nil)
	for i := range j.procs {
		j.procs[i].Comm = fmt.Sprint("p", j.procs[i].PID%3)
	}
	return j
}

func BenchmarkOrder(b *testing.B) {
	const n = 100_000
	j := randomJoined(rand.New(rand.NewPCG(7, 8)), n)
	var o orderer
	for b.Loop() {
		o.reset(n)
		for i := range n {
			o.places = append(o.places, place{at: uint32(i)})
		}
		o.byDefault(j, func(i uint32) (uint32, bool) { return uint32(i) % uint32(len(j.procs)), true })
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/session")
}
