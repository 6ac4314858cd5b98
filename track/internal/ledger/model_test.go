package ledger

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
)

// TestEngine_MemoryIsFlat: however many sessions came and went, what is kept
// is what stands.
func TestEngine_MemoryIsFlat(t *testing.T) {
	b := newBenchOf(t, Want{}, 1<<20)
	b.g.outbox.deliver = func([]Event) {}
	cookie := uint64(0)
	churn := func() {
		for range 100_000 {
			cookie++
			at := int(cookie)
			pid := uint32(cookie%50_000) + 1
			open := record(tcpOpen, at, cookie, opened(at))
			accept := record(tcpAccept, at, cookie, opened(at), by("nginx", pid))
			end := record(tcpClose, at+1, cookie, opened(at), from(whose.FinWait2))
			b.g.Apply(&open)
			b.g.Apply(&accept)
			b.g.Apply(&end)
			flow := record(udpOpen, at, cookie, udp, opened(at), by("dns", pid))
			b.g.Apply(&flow)
			flow.Kind = udpClose
			b.g.Apply(&flow)
		}
		b.g.Expire(b.g.now)
	}
	churn()
	before := heap()
	for range 4 {
		churn()
	}
	if after := heap(); after > before+1<<20 {
		t.Errorf("the heap grew from %d to %d bytes over 400,000 connections and as many flows", before, after)
	}
	if n := b.g.table.len(); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
	runtime.KeepAlive(b)
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestEngine_AgainstModel: random records, with duplicates and losses among
// them, leave the table that a plain map of sets says.
func TestEngine_AgainstModel(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 1))
		b := newBenchOf(t, Want{}, 1<<20)
		live := make(map[string]string) // identity: owner
		generation := make(map[uint64]int)
		for step := 1; step < 1500; step++ {
			cookie := uint64(rng.IntN(40)) + 1
			key := fmt.Sprint("tcp", cookie)
			since := opened(generation[cookie])
			who := by(fmt.Sprint("p", cookie%5), uint32(cookie%5)+1)
			name := fmt.Sprintf("p%d/%d", cookie%5, cookie%5+1)
			r := record(0, step, cookie, out, since, who)
			_, alive := live[key]
			switch rng.IntN(6) {
			case 0, 1:
				if !alive {
					generation[cookie] = step
					r = record(tcpOpen, step, cookie, out, opened(step), who)
					live[key] = name
				} else {
					r.Kind = tcpOpen // told twice
				}
			case 2:
				r.Kind = tcpClose // also of what is closed
				delete(live, key)
			case 3:
				r = record(udpOpen, step, cookie, udp, out, opened(step), who)
				live[fmt.Sprint("udp", cookie)] = name
			case 4:
				r = record(udpClose, step, cookie, udp, out, opened(step), who)
				delete(live, fmt.Sprint("udp", cookie))
			case 5:
				r = record(tcpFail, step, cookie+100, out, opened(step), who, failed(eCONNREFUSED))
			}
			b.g.Apply(&r)
		}
		got := make(map[string]string)
		for _, s := range b.g.Ask(nil, filter.Env{}, 0).AppendAll(nil) {
			got[fmt.Sprint(s.Proto.String(), s.Cookie)] = fmt.Sprintf("%s/%d", s.Owners[0].Comm, s.Owners[0].PID)
		}
		if diff := cmp.Diff(live, got); diff != "" {
			t.Fatalf("seed %d:\n%s", seed, diff)
		}
		checkBooks(t, b.g)
	}
}

// checkBooks compares everything that is counted with what is there.
func checkBooks(t *testing.T, g *Engine) {
	t.Helper()
	refs := make(map[setID]int)
	n, listeners, netns := 0, 0, make(map[uint32]int)
	g.table.each(func(p place, e *entry) bool {
		n++
		refs[e.owners]++
		netns[e.NetNS]++
		if e.State == whose.Listen {
			listeners++
		}
		if at, ok := g.table.find(e); !ok || at != p {
			t.Errorf("place %d is not found by its identity", p)
		}
		return true
	})
	if n != g.table.len() || n != g.table.sumOf(whose.AllProtos, whose.AllFamilies, whose.AllStates) || n != g.table.wanted {
		t.Errorf("%d sessions, but counted %d, by kinds %d, wanted %d", n, g.table.len(), g.table.sumOf(whose.AllProtos, whose.AllFamilies, whose.AllStates), g.table.wanted)
	}
	if diff := cmp.Diff(netns, g.table.netns); diff != "" {
		t.Errorf("sessions by namespace (-there +counted):\n%s", diff)
	}
	g.sweep()
	g.sweep() // what was named since the last one is kept once
	for _, l := range g.ceased.all {
		refs[l.owners] += 0 // remembered, with no session
	}
	kept := make(map[setID]bool)
	for set := range refs {
		kept[set] = true
		for _, one := range g.processes.sets[set].members {
			kept[one.alone] = true
		}
	}
	for id := range g.processes.sets {
		if there := g.processes.sets[id].members != nil; id != 0 && there != kept[setID(id)] {
			t.Errorf("set %d with %d sessions is there: %v", id, refs[setID(id)], there)
		}
	}
}
