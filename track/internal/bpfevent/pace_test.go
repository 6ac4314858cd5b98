package bpfevent

import (
	"testing"
	"time"
)

// TestPace: looks become more frequent as more is found by them, within bounds,
// and rare again when nothing is.
func TestPace(t *testing.T) {
	const most = 100 * time.Millisecond
	p := newPace(most)
	now := p.last
	if p.pause != most {
		t.Errorf("begins with a pause of %v, not %v", p.pause, most)
	}
	for _, test := range []struct {
		took    time.Duration
		records int
		want    time.Duration
	}{
		{most, 0, most},
		{most, lot / 2, most},
		{most, 4 * lot, most / 4},
		{most / 4, lot, most / 4},
		{most / 4, 1 << 20, most / mostLooks},
		{0, 10, most / mostLooks},
		{0, 0, most},
	} {
		now = now.Add(test.took)
		p.looked(test.records, now)
		if p.pause != test.want {
			t.Errorf("after %d records in %v the pause is %v, not %v", test.records, test.took, p.pause, test.want)
		}
	}
}

// TestConfig_Settles: what is given out as settled has been told before, with
// time for a look that passed over it.
func TestConfig_Settles(t *testing.T) {
	for _, every := range []time.Duration{time.Microsecond, 20 * time.Millisecond, 0, time.Minute} {
		c := Config{FlushEvery: every}.withDefaults()
		if told, settles := c.emitAfter(), c.settlesAfter(); told >= settles || settles < 10*time.Millisecond {
			t.Errorf("flushing every %v: told after %v, settled after %v", c.FlushEvery, told, settles)
		}
	}
}
