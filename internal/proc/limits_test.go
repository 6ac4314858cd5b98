package proc

import (
	"testing"
	"time"
)

func TestStartTime(t *testing.T) {
	boot := time.Unix(1e9, 0)
	before := int64(-1500 * time.Millisecond)
	for ticks, want := range map[uint64]time.Duration{
		0: 0, 150: 1500 * time.Millisecond, uint64(before) / 1e7: -1510 * time.Millisecond, // the kernel rounds down
	} {
		if got := startTime(boot, ticks).Sub(boot); got != want {
			t.Errorf("%d ticks: %v after boot, want %v", ticks, got, want)
		}
	}
	for _, damaged := range []uint64{1 << 50, 1<<64 - 1} {
		if got := startTime(boot, damaged); got.Before(boot) {
			t.Errorf("%d ticks: %v, before boot", damaged, got)
		}
	}
}
