package collect_test

import (
	"context"
	"math"
	"os"
	"runtime"
	"testing"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
)

// What a collector that is kept open may take for each session in steady
// state. What it hands out is given away and so has to be made anew: an owner
// and the other end's (32 bytes each), and their descriptors (4 bytes each).
// It is made in blocks, so that of allocations there is about one for a
// thousand sessions; fewAllocs allows for the host, which changes too.
const (
	maxBytesPerSession = 120
	sessionsPerBlock   = 1000
	fewAllocs          = 60
)

// TestCollector_AllocatesNothingPerSession compares passes over 10,000
// sessions with passes over 1,000: beside what is handed out they cost the same.
// All are of one process, so that it takes many runs of the programs.
func TestCollector_AllocatesNothingPerSession(t *testing.T) {
	small, _ := holding(t, 500)
	large, _ := holding(t, 5000)
	for name, opts := range ways(t) {
		t.Run(name, func(t *testing.T) {
			few := opts
			opts.NetNS, few.NetNS = large, small
			n, allocs, bytes := costOf(t, opened(t), opts)
			m, baseAllocs, baseBytes := costOf(t, opened(t), few)
			t.Logf("%d sessions: %d allocations and %d KiB a pass; %d sessions: %d and %d",
				n, allocs, bytes>>10, m, baseAllocs, baseBytes>>10)
			if n < 10_000 || m > 1100 {
				t.Fatalf("%d sessions and %d, want 10,000 and 1,000", n, m)
			}
			if more, most := allocs-baseAllocs, fewAllocs+(n-m)/sessionsPerBlock; more > most {
				t.Errorf("%d more sessions take %d more allocations, want at most %d", n-m, more, most)
			}
			if more := bytes - baseBytes; more > maxBytesPerSession*(n-m) {
				t.Errorf("%d more sessions take %d more bytes, want at most %d each", n-m, more, maxBytesPerSession)
			}
		})
	}
}

// TestCollector_AllocatesNothingPerProcess passes over sessions of a thousand
// processes, whose names it made in the first pass.
func TestCollector_AllocatesNothingPerProcess(t *testing.T) {
	c := collect.OpenWith(stand(10_000))
	t.Cleanup(func() { c.Close() })
	n, allocs, _ := costOf(t, c, collect.Options{Source: collect.BPF})
	t.Logf("%d allocations for %d sessions of 1,000 processes", allocs, n)
	if n != 10_000 || allocs > 500 {
		t.Errorf("%d allocations for %d sessions, want less than one for two processes, and 10,000", allocs, n)
	}
}

// costOf returns how many sessions a collector finds, and what a pass allocates
// in steady state.
func costOf(t *testing.T, c *collect.Collector, opts collect.Options) (sessions, allocs, bytes int) {
	t.Helper()
	var found []whose.Session
	pass := func() {
		answer, err := c.Collect(context.Background(), &opts)
		if err != nil {
			t.Fatal(err)
		}
		found = answer.Append(found[:0])
		answer.Close()
	}
	pass()
	allocs, bytes = math.MaxInt, math.MaxInt
	for range 10 { // buffers may still grow in some of them
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		pass()
		runtime.ReadMemStats(&after)
		allocs = min(allocs, int(after.Mallocs-before.Mallocs))
		bytes = min(bytes, int(after.TotalAlloc-before.TotalAlloc))
	}
	return len(found), allocs, bytes
}

// TestCollector_MemoryStaysFlat makes hundreds of passes and wants no more
// memory and no more descriptors after them than after the first few.
func TestCollector_MemoryStaysFlat(t *testing.T) {
	const warmup, passes, rounds, slack = 20, 280, 3, 1 << 20
	netns, _ := holding(t, 500)
	for name, opts := range ways(t) {
		t.Run(name, func(t *testing.T) {
			c := opened(t)
			opts.NetNS = netns
			pass := func() {
				answer, err := c.Collect(context.Background(), &opts)
				if err != nil {
					t.Fatal(err)
				}
				defer answer.Close()
				n := 0
				for range answer.Sessions() {
					n++
				}
				if n < 1000 {
					t.Fatalf("%d sessions, want 1,000", n)
				}
			}
			for range warmup {
				pass()
			}
			// Buffers grow with the sockets of the host, which others open; what leaks
			// grows in each round.
			for round := 1; ; round++ {
				heap, files := heapInUse(), openFiles(t)
				for range passes {
					pass()
				}
				nowHeap, nowFiles := heapInUse(), openFiles(t)
				t.Logf("heap %d KiB, then %d KiB; %d descriptors, then %d", heap>>10, nowHeap>>10, files, nowFiles)
				if nowHeap <= heap+slack && nowFiles <= files {
					return
				}
				if round == rounds {
					t.Fatalf("%d times: after %d more passes %d bytes and %d descriptors are in use, %d and %d before",
						rounds, passes, nowHeap, nowFiles, heap, files)
				}
			}
		})
	}
}

func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func openFiles(t *testing.T) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// TestCollector_Close gives everything back: descriptors, programs, goroutines.
func TestCollector_Close(t *testing.T) {
	all := ways(t)
	before := openFiles(t)
	c := collect.Open()
	for range 3 {
		for _, opts := range all {
			gather(t, c, opts)
		}
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if after := openFiles(t); after > before {
		t.Errorf("%d descriptors after Close, %d before", after, before)
	}
	if err := c.Close(); err != nil {
		t.Errorf("Close again: %v", err)
	}
	if sessions := gather(t, c, all[collect.Netlink]); len(sessions) == 0 {
		t.Error("a collector does not open again what it needs")
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
