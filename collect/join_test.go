package collect

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/pair"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// plainJoin is the join as one would write it first: maps and sorting.
func plainJoin(sockets []source.Socket, holdings []source.Holding) map[uint64]map[uint32][]int32 {
	held := map[uint64]map[uint32][]int32{}
	for _, s := range sockets {
		if s.Inode != 0 {
			held[s.Inode] = map[uint32][]int32{}
		}
	}
	for _, h := range holdings {
		if pids := held[h.Inode]; pids != nil && !slices.Contains(pids[h.PID], h.FD) {
			pids[h.PID] = append(pids[h.PID], h.FD)
			slices.Sort(pids[h.PID])
		}
	}
	return held
}

// joinAll brings sockets and holdings together in the memory of s.
func joinAll(s *stages, sockets []source.Socket, holdings []source.Holding) *joined {
	g := &s.gathered
	g.reset()
	g.plan = &plan{opts: &Options{}, needs: whose.NeedOwners | whose.NeedPeer}
	g.snap.Sockets, g.walk.Holdings = sockets, holdings
	g.settle()
	return s.joined.join(g)
}

// TestShed takes a huge answer twice through the same stages: what was given up
// after the first is not missed, neither by its sessions nor by the second.
func TestShed(t *testing.T) {
	var s stages
	sockets := make([]source.Socket, hugeAnswer)
	holdings := make([]source.Holding, len(sockets))
	for i := range sockets {
		sockets[i] = source.Socket{End: pair.End{LocalPort: uint16(i), RemotePort: 1, State: whose.Established, Proto: whose.TCP, Family: whose.IPv4}, Inode: uint64(i + 1)}
		holdings[i] = source.Holding{Inode: uint64(i + 1), PID: uint32(i % 100), FD: int32(i)}
	}
	for range 2 {
		j := joinAll(&s, slices.Clone(sockets), holdings)
		j.plan.states, j.plan.protos, j.plan.families = whose.AllStates, whose.AllProtos, whose.AllFamilies
		s.described = described{derived: s.derived.derive(j)}
		o := s.ordered.order(s.chosen.choose(&s.described))
		s.shed()
		if s.gathered.index.slots != nil || s.derived.ends.slots != nil || o.keys != nil || o.spare != nil {
			t.Fatal("nothing was given up")
		}
		if len(o.places) != len(sockets) {
			t.Fatalf("%d sockets, want %d", len(o.places), len(sockets))
		}
		for _, at := range o.places {
			h := j.holdersOf(int(at))
			if len(h) != 1 || j.procs[h[0].proc].PID != uint32(at%100) || h[0].fd != int32(at) {
				t.Fatalf("socket %d is held by %v", at, h)
			}
		}
	}
}

// TestShed_Subflow gives a subflow of a huge answer the owners of its session.
func TestShed_Subflow(t *testing.T) {
	sockets := make([]source.Socket, hugeAnswer)
	for i := range sockets {
		sockets[i] = source.Socket{End: pair.End{LocalPort: uint16(i), RemotePort: 1, State: whose.Established, Proto: whose.MPTCP}, Inode: uint64(i + 1)}
	}
	last := len(sockets) - 1
	sockets[last].Inode, sockets[last].Flags = 1, source.SocketSubflow
	var s stages
	j := joinAll(&s, sockets, []source.Holding{{Inode: 1, PID: 7, FD: 3}})
	s.shed()
	if h := j.holdersOf(last); len(h) != 1 || j.procs[h[0].proc].PID != 7 {
		t.Errorf("the subflow is held by %v, want process 7", h)
	}
}

func TestJoin_AgreesWithPlainJoin(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var kept stages // so that what an earlier collection left behind would show
	for range 200 {
		sockets, holdings := randomHost(r)
		want := plainJoin(sockets, holdings)
		j := joinAll(&kept, slices.Clone(sockets), holdings)
		got := map[uint64]map[uint32][]int32{}
		for i, s := range j.sockets {
			if s.Inode == 0 {
				continue
			}
			if got[s.Inode] != nil {
				t.Fatalf("inode %d stands twice", s.Inode)
			}
			got[s.Inode] = map[uint32][]int32{}
			for _, h := range j.holdersOf(i) {
				pid := j.procs[h.proc].PID
				got[s.Inode][pid] = append(got[s.Inode][pid], h.fd)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("join differs from the plain one (-want +got):\n%s", diff)
		}
	}
}

func randomHost(r *rand.Rand) ([]source.Socket, []source.Holding) {
	var sockets []source.Socket
	var holdings []source.Holding
	base := r.Uint64N(1 << 20)
	if r.IntN(4) == 0 {
		base += 1 << 40 // inodes that need more than 32 bits
	}
	for range r.IntN(300) {
		inode := base + r.Uint64N(200)
		if r.IntN(10) == 0 {
			inode = 0
		}
		sockets = append(sockets, source.Socket{Inode: inode})
		for range r.IntN(4) {
			holdings = append(holdings, source.Holding{
				Inode: base + r.Uint64N(250), PID: 1 + r.Uint32N(20), FD: r.Int32N(10),
			})
		}
	}
	if base > 1<<32 && len(sockets) > 0 { // the same low half, another inode
		sockets = append(sockets, source.Socket{Inode: sockets[0].Inode & 0xffffffff})
	}
	return sockets, holdings
}

func TestJoin_AdmitNarrowsOwners(t *testing.T) {
	holdings := []source.Holding{{Inode: 5, PID: 1, FD: 3}, {Inode: 5, PID: 2, FD: 4}}
	j := joinAll(new(stages), []source.Socket{{Inode: 5}}, holdings)
	j.attach(holdings, func(pid uint32) bool { return pid == 2 })
	if got := j.holdersOf(0); len(got) != 1 || j.procs[got[0].proc].PID != 2 {
		t.Errorf("got holders %v, want process 2 alone", got)
	}
}

func TestJoin_SteadyStateAllocatesNothingPerSocket(t *testing.T) {
	const n = 10_000
	sockets, holdings := make([]source.Socket, n), make([]source.Holding, n)
	for i := range n {
		sockets[i].Inode = uint64(i + 1)
		holdings[i] = source.Holding{Inode: uint64(i + 1), PID: uint32(i%50 + 1), FD: int32(i)}
	}
	var s stages
	again := make([]source.Socket, n)
	pass := func() {
		copy(again, sockets)
		joinAll(&s, again, holdings)
	}
	pass()
	if allocs := testing.AllocsPerRun(10, pass); allocs > 20 {
		t.Errorf("joining %d sockets allocates %v times", n, allocs)
	}
}

func BenchmarkJoin(b *testing.B) {
	const n = 100_000
	sockets, holdings := make([]source.Socket, n), make([]source.Holding, n)
	for i, at := range rand.New(rand.NewPCG(3, 4)).Perm(n) {
		sockets[i].Inode = uint64(at + 1)
		holdings[i] = source.Holding{Inode: uint64(i + 1), PID: uint32(i%1000 + 1), FD: int32(i)}
	}
	var s stages
	for b.Loop() {
		joinAll(&s, sockets, holdings)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/socket")
}
