package collect

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-44df2ae6/whose"
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

// TestShed joins a huge answer twice with one pass's memory: what was given up
// after the first is not missed, neither by its sessions nor by the second.
func TestShed(t *testing.T) {
	p := &pass{plan: &plan{opts: &Options{}}}
	sockets := make([]source.Socket, hugeAnswer)
	holdings := make([]source.Holding, len(sockets))
	for i := range sockets {
		sockets[i] = source.Socket{Inode: uint64(i + 1), LocalPort: uint16(i), RemotePort: 1, State: whose.Established}
		holdings[i] = source.Holding{Inode: uint64(i + 1), PID: uint32(i % 100), FD: int32(i)}
	}
	for range 2 {
		p.unique(slices.Clone(sockets))
		p.attach(holdings, nil)
		p.findPeers(p.sockets)
		p.order.reset(len(p.sockets))
		for i := range p.sockets {
			p.order.places = append(p.order.places, place{at: uint32(i)})
		}
		p.order.byDefault(&p.joined, func(i uint32) (uint32, bool) { return p.holdersOf(int(i))[0].proc, true })
		p.shed()
		if p.index.slots != nil || p.ends != nil || p.order.spare != nil {
			t.Fatal("nothing was given up")
		}
		for _, o := range p.order.places {
			h := p.holdersOf(int(o.at))
			if len(h) != 1 || p.procs[h[0].proc].PID != uint32(o.at%100) || h[0].fd != int32(o.at) {
				t.Fatalf("socket %d is held by %v", o.at, h)
			}
		}
	}
}

func TestJoin_AgreesWithPlainJoin(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var j joined // kept, so that what an earlier pass left behind would show
	for range 200 {
		sockets, holdings := randomHost(r)
		want := plainJoin(sockets, holdings)
		j.unique(slices.Clone(sockets))
		j.attach(holdings, nil)
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
	var j joined
	j.unique([]source.Socket{{Inode: 5}})
	holdings := []source.Holding{{Inode: 5, PID: 1, FD: 3}, {Inode: 5, PID: 2, FD: 4}}
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
	var j joined
	again := make([]source.Socket, n)
	pass := func() {
		copy(again, sockets)
		j.unique(again)
		j.attach(holdings, nil)
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
	var j joined
	for b.Loop() {
		j.unique(sockets)
		j.attach(holdings, nil)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/socket")
}
