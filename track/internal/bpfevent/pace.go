package bpfevent

import "time"

const (
	// lot is roughly the number of records for a look at the ring. Fewer cost
	// more for each. More, read in one go, keep others from the one processor
	// that reads them for longer than they have work in hand.
	lot = 128
	// mostLooks is the factor by which looks may become more frequent.
	mostLooks = 50
)

// A pace decides when to look at the ring again.
type pace struct {
	pause time.Duration
	most  time.Duration
	last  time.Time
}

func newPace(most time.Duration) pace { return pace{pause: most, most: most, last: time.Now()} }

// looked notes the number of records found by the look that ended now.
func (p *pace) looked(records int, now time.Time) {
	took := now.Sub(p.last)
	p.last = now
	p.pause = p.most
	if records > 0 {
		p.pause = min(max(took*lot/time.Duration(records), p.most/mostLooks), p.most)
	}
}
