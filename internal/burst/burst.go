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
	// usualGrowth is the growth of the heap in percent between two collections as
	// footprint.Steady sets it, leastGrowth that of a large one. Beyond roomToGrow
	// more garbage costs more than collecting it.
	usualGrowth, leastGrowth = 50, 25
	roomToGrow               = 20 << 20
)

// growth is the growth of a heap of which so many bytes live, in percent.
func growth(live uint64) int {
	return int(min(max(100*roomToGrow/max(live, 1), leastGrowth), usualGrowth))
}

// GiveBack gives memory back to the system after a burst, until ctx ends, and lets a
// large heap grow by less between collections if pace. The runtime by
// itself keeps a tenth beyond its greatest heap and, on a host that is idle afterwards,
// the garbage of the burst for minutes.
func GiveBack(ctx context.Context, pace bool) {
	set := usualGrowth
	ticks := time.NewTicker(returnEvery)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
			unused, live := heap()
			if now := growth(live); pace && now != set {
				debug.SetGCPercent(now)
				set = now
			}
			if unused > max(returnFrom, live/8) {
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
