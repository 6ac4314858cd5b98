package ledger

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/seed-44df2ae6/whose"
)

// TestOrder: what a look brings is given out in the order of its times, and
// what is newer than the look waits for the next.
func TestOrder(t *testing.T) {
	b := newFacing(t, Want{})
	b.apply(
		record(tcpClose, 30, 2, opened(11), by("nginx", 5), wasAccepted, from(whose.FinWait2)), // told whole
		record(tcpOpen, 10, 1, out, opened(10), by("curl", 7)),
		record(tcpClose, 60, 1, out, opened(10), from(whose.LastAck)),
		record(tcpListen, 5, 3, bound("0.0.0.0:80"), by("late", 4)),
	)
	b.want()
	b.settle(50)
	b.want(
		"5 listen tcp 0.0.0.0:80>0.0.0.0:0 late/4",
		"10 open out tcp 10.0.0.1:1001>10.0.0.2:80 curl/7",
		"11 open in tcp 10.0.0.1:1002>10.0.0.2:80 nginx/5",
		"30 close in tcp 10.0.0.1:1002>10.0.0.2:80 nginx/5 orderly here 19ms",
	)
	b.apply(record(tcpOpen, 55, 4, out, opened(55), by("curl", 7)))
	b.settle(100)
	b.want(
		"55 open out tcp 10.0.0.1:1004>10.0.0.2:80 curl/7",
		"60 close out tcp 10.0.0.1:1001>10.0.0.2:80 curl/7 orderly there 50ms",
	)
}

// TestOrder_Full: where too much is held, the older half is given out, sorted.
func TestOrder_Full(t *testing.T) {
	b := newBenchOf(t, Want{}, 2*maxHeld)
	b.g.outbox.holds = true
	var times []time.Time
	b.g.outbox.deliver = asEvents(func(e *whose.Event) { times = append(times, e.Time) })
	at := rand.New(rand.NewPCG(1, 1)).Perm(maxHeld)
	for i, ms := range at {
		b.apply(record(tcpOpen, ms, uint64(i+1), out, opened(ms), by("x", 1)))
	}
	if len(times) != maxHeld/2 || len(b.g.outbox.held) != maxHeld/2 {
		t.Fatalf("%d events were given out and %d are held, want a half each", len(times), len(b.g.outbox.held))
	}
	b.g.outbox.settle(^uint64(0), maxHeld)
	if len(times) != maxHeld || !slices.IsSortedFunc(times, time.Time.Compare) {
		t.Errorf("%d events, sorted: %v", len(times), slices.IsSortedFunc(times, time.Time.Compare))
	}
}
