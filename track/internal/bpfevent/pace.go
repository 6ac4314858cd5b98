package bpfevent

import "time"

const (
	// lot is about how many records a look at the ring shall find. Fewer cost
	// more for each; by more the one processor that reads them, in one go, keeps
	// others from it for longer than they have work in hand.
	lot = 128
	// mostLooks is by how much looks may become more frequent.
	mostLooks = 50
)

// A pace says when to look at the ring again.
type pace struct {
	pause time.Duration
	most  time.Duration
	last  time.Time
}

func newPace(most time.Duration) pace { return pace{pause: most, most: most, last: time.Now()} }

// looked notes how many records the look that ended now has found.
func (p *pace) looked(records int, now time.Time) {
	took := now.Sub(p.last)
	p.last = now
	p.pause = p.most
	if records > 0 {
		p.pause = min(max(took*lot/time.Duration(records), p.most/mostLooks), p.most)
	}
}
