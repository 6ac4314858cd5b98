package bpfiter

import (
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose/internal/source"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// countVisits returns a count of the visits of fd_walk to processes.
func countVisits(t *testing.T, s *Source) func() uint64 {
	t.Helper()
	stats, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
	must(t, err)
	t.Cleanup(func() { stats.Close() })
	before := uint64(0)
	visits := func() uint64 {
		st, err := s.loaded.fdWalk.Programs[fdWalkProgFdWalk].Stats()
		must(t, err)
		n := st.RunCount - before
		before = st.RunCount
		return n
	}
	visits()
	return visits
}

// TestRead_LooksAgainForNewOnes counts how often processes are visited: once more for
// sockets that nobody holds, with the first Read that meets them. A socket that gets
// a holder later has it at once.
func TestRead_LooksAgainForNewOnes(t *testing.T) {
	testenv.NeedKernel(t, 6, 2, "bpf_rdonly_cast")
	ns := testenv.NewNetNS(t)
	s := open(t, Options{})
	q := inNetNS(ns, source.Query{})
	held, _ := listen(t, ns)
	visits := countVisits(t, s)
	read(t, s, q)
	once := visits() // of all processes
	takes := func(what string, looks float64) *source.Snapshot {
		t.Helper()
		snap := read(t, s, q)
		if n := float64(visits()) / float64(once); n < looks-0.4 || n > looks+0.4 {
			t.Errorf("%s: each process is visited %.2f times, want %.0f", what, n, looks)
		}
		return snap
	}
	takes("all are held", 1)
	first, _ := listen(t, ns)
	inode := inodeOf(t, first)
	back := sendAway(t, first)
	takes("one is in flight", 2)
	snap := takes("the same", 1)
	if got := find(snap, inode); len(got) != 1 || len(holders(snap, inode)) != 0 {
		t.Errorf("in flight: %+v, held by %v", got, holders(snap, inode))
	}
	second, _ := listen(t, ns)
	other := inodeOf(t, second)
	sendAway(t, second)
	takes("another is in flight", 2)
	takes("both", 1)
	back()
	snap = takes("the first is received", 1)
	if len(holders(snap, inode)) != 1 || len(holders(snap, other)) != 0 || len(holders(snap, inodeOf(t, held))) != 1 {
		t.Errorf("holders: %v of the received, %v of that in flight", holders(snap, inode), holders(snap, other))
	}
	sendAway(t, first)
	takes("the first is in flight again", 2)
}

// TestUnheldSet holds sockets against those of the last Read.
func TestUnheldSet(t *testing.T) {
	var u unheldSet
	a, b, again := standing{1, 10}, standing{2, 20}, standing{1, 11}
	if got := u.others([]standing{a, b}, nil); !slices.Equal(got, []uint64{10, 20}) {
		t.Errorf("of an empty set %v are other sockets", got)
	}
	u.note([]standing{a, b}, []source.Holding{{Inode: 2}})
	if got := u.others([]standing{a, b}, nil); !slices.Equal(got, []uint64{20}) {
		t.Errorf("%v are other sockets, want the one that was found", got)
	}
	if got := u.others([]standing{again}, nil); !slices.Equal(got, []uint64{11}) {
		t.Errorf("%v are other sockets, want that with the inode of a known one", got)
	}
	u.note(nil, nil)
	if got := u.others([]standing{a}, nil); len(got) != 1 {
		t.Error("a socket is known that the last Read did not meet")
	}
	many := make([]standing, maxUnheld+5)
	for i := range many {
		many[i].inode = uint64(i)
	}
	if u.note(many, nil); len(u) != maxUnheld {
		t.Errorf("%d sockets are remembered, want %d at most", len(u), maxUnheld)
	}
}
