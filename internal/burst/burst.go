// Package burst gives memory back to the system after a burst, in a process that lives for
// weeks. It reads the runtime's metrics, whose tables a short command has no use for.
package burst

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// returnEvery is the time between two looks at the heap.
	returnEvery = 10 * time.Second
	// returnFrom is the memory that is worth giving back: less than that, or than an
	// eighth of what lives, comes and goes.
	returnFrom = 8 << 20
)

// GiveBack gives memory back to the system after a burst, until ctx ends. The runtime by
// itself keeps a tenth beyond its greatest heap and, on a host that is idle afterwards,
// the garbage of the burst for minutes.
func GiveBack(ctx context.Context) {
	ticks := time.NewTicker(returnEvery)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
			if unused, live := heap(); unused > max(returnFrom, live/8) {
				debug.FreeOSMemory()
			}
		}
	}
}

// heap returns the bytes of the heap without an object that lives, as far as they are
// in memory, and those of the objects which lived at the last collection.
func heap() (unused, live uint64) {
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/free:bytes"}, {Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/heap/live:bytes"},
	}
	metrics.Read(samples)
	live = samples[3].Value.Uint64()
	objects := samples[2].Value.Uint64()
	return samples[0].Value.Uint64() + samples[1].Value.Uint64() + objects - min(live, objects), live
}
