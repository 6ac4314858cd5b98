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
		falseFirst(!x.IsListener(), !y.IsListener()),
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
	var s stages
	for _, n := range []int{0, 1, 2, 63, 64, 1000} {
		j := randomJoined(&s, r, n)
		want := allPlaces(n)
		slices.SortFunc(want, func(a, b uint32) int { return plainOrder(j, a, b) })
		for i, at := range s.ordered.order(chosenAll(&s, n)).places {
			if plainOrder(j, at, want[i]) != 0 {
				t.Fatalf("%d sockets: place %d holds socket %d, want %d", n, i, at, want[i])
			}
		}
	}
}

// TestOrder_ByProcess wants the same sessions, listeners first and in their order, and then
// the processes in theirs.
func TestOrder_ByProcess(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	var s stages
	mixed := false
	for _, n := range []int{0, 1, 2, 63, 64, 1000} {
		j := randomJoined(&s, r, n)
		plain := allPlaces(n)
		slices.SortFunc(plain, func(a, b uint32) int { return plainOrder(j, a, b) })
		j.plan.opts.ByProcess = true
		got := s.ordered.order(chosenAll(&s, n)).places
		if sorted := slices.Sorted(slices.Values(got)); !slices.Equal(sorted, allPlaces(n)) {
			t.Fatalf("%d sockets: not each of them once: %v", n, got)
		}
		for i, at := range got {
			wants := plainOrder(j, at, plain[i]) == 0
			mixed = mixed || !wants
			if j.sockets[at].IsListener() != j.sockets[plain[i]].IsListener() || compareOwner(j, at, plain[i]) != 0 || j.sockets[at].IsListener() && !wants {
				t.Fatalf("%d sockets: place %d holds socket %d, want %d or another one of its process", n, i, at, plain[i])
			}
		}
	}
	if !mixed {
		t.Error("all sessions are in the order of the default")
	}
}

func allPlaces(n int) []uint32 {
	places := make([]uint32, n)
	for i := range places {
		places[i] = uint32(i)
	}
	return places
}

// chosenAll chooses all n sockets that were joined.
func chosenAll(s *stages, n int) *chosen {
	s.derived.joined, s.described.derived = &s.joined, &s.derived
	s.chosen = chosen{described: &s.described, places: allPlaces(n)}
	return &s.chosen
}

// randomJoined makes sockets of few distinct values, so that every step of the
// order has ties to break.
func randomJoined(kept *stages, r *rand.Rand, n int) *joined {
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
	j := joinAll(kept, sockets, holdings)
	for i := range j.procs {
		j.procs[i].Comm = fmt.Sprint("p", j.procs[i].PID%3)
	}
	return j
}

func BenchmarkOrder(b *testing.B) {
	const n = 100_000
	var s stages
	randomJoined(&s, rand.New(rand.NewPCG(7, 8)), n)
	for b.Loop() {
		s.ordered.order(chosenAll(&s, n))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/session")
}
