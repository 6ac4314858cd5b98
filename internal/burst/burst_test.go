package burst

import (
	"runtime"
	"runtime/debug"
	"testing"
)

var burst [][]byte

// TestHeap_SeesABurst: the memory of a burst is found, before a collection as garbage and
// after one as room, and after giving back it is gone.
func TestHeap_SeesABurst(t *testing.T) {
	debug.FreeOSMemory()
	before, _ := heap()
	if before > returnFrom {
		t.Fatalf("%d bytes are unused at the beginning", before)
	}
	for range 64 {
		burst = append(burst, make([]byte, 1<<20))
	}
	runtime.GC()
	if unused, live := heap(); unused > before+returnFrom || live < 64<<20 {
		t.Errorf("while it lives %d bytes are unused, and %d live", unused, live)
	}
	burst = nil
	runtime.GC()
	if unused, _ := heap(); unused < 48<<20 {
		t.Errorf("after the burst %d bytes are unused", unused)
	}
	debug.FreeOSMemory()
	if unused, _ := heap(); unused > returnFrom {
		t.Errorf("%d bytes are unused after giving back", unused)
	}
}

func TestGrowth(t *testing.T) {
	for live, want := range map[uint64]int{0: 50, 10 << 20: 50, 40 << 20: 50, 50 << 20: 40, 80 << 20: 25, 1 << 40: 25} {
		if got := growth(live); got != want {
			t.Errorf("%d bytes live: %d %%, want %d", live, got, want)
		}
	}
}
