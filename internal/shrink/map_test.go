package shrink

import (
	"runtime"
	"testing"
)

// heap returns the bytes of the live heap.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestMap_GivesBackABurst(t *testing.T) {
	const burst = 1 << 18
	before := heap()
	var m Map[uint64, [4]uint64]
	for i := range uint64(burst) {
		m.Set(i, [4]uint64{i})
	}
	if most := heap() - before; most < burst*40 {
		t.Fatalf("%d entries take %d bytes", burst, most)
	}
	for i := range uint64(burst) {
		if i%1000 != 0 {
			m.Delete(i)
		}
	}
	m.Set(burst, [4]uint64{burst})
	if left := heap() - before; left > burst {
		t.Errorf("%d bytes stay for %d entries", left, m.Len())
	}
	for i := range uint64(burst + 1) {
		if v, ok := m.Get(i); ok != (i%1000 == 0 || i == burst) || ok && v[0] != i {
			t.Fatalf("entry %d: %v, %v", i, v, ok)
		}
	}
}

func TestMap_DeletesInALoop(t *testing.T) {
	var m Map[int, int]
	m.Expect(3 * floor)
	for i := range 3 * floor {
		m.Set(i, i)
	}
	for k := range m.All() {
		m.Delete(k)
	}
	if m.Len() != 0 {
		t.Errorf("%d entries are left", m.Len())
	}
	if _, ok := m.Get(1); ok {
		t.Error("a deleted entry is there")
	}
}
