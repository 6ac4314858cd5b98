package track

import (
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/track/internal/bpfevent"
)

// TestOrder: what a look brings is given out in the order of its times, and
// what is newer than the look waits for the next.
func TestOrder(t *testing.T) {
	b := newFacing(t, want{})
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
	b := newBenchOf(t, want{}, 2*maxHeld)
	b.g.order.waits = true
	var times []time.Time
	b.g.emit = asEvents(func(e *whose.Event) { times = append(times, e.Time) })
	at := rand.New(rand.NewPCG(1, 1)).Perm(maxHeld)
	for i, ms := range at {
		b.apply(record(tcpOpen, ms, uint64(i+1), out, opened(ms), by("x", 1)))
	}
	if len(times) != maxHeld/2 || len(b.g.order.held) != maxHeld/2 {
		t.Fatalf("%d events were given out and %d are held, want a half each", len(times), len(b.g.order.held))
	}
	b.g.settle(^uint64(0), maxHeld)
	if len(times) != maxHeld || !slices.IsSortedFunc(times, time.Time.Compare) {
		t.Errorf("%d events, sorted: %v", len(times), slices.IsSortedFunc(times, time.Time.Compare))
	}
}

// A lookingKernel is a fakeKernel whose test says when a look is over.
type lookingKernel struct {
	*fakeKernel
	passed func(until uint64)
}

func (k *lookingKernel) OnLook(_ func(), end func(until uint64)) { k.passed = end }

// TestTracker_GivesOutByLooks: nothing is given out before a look is over, all
// is when the tracker is closed, losses in their place.
func TestTracker_GivesOutByLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kernel := &lookingKernel{fakeKernel: newFakeKernel()}
		tr := fakeTracker(t, Options{}, kernel, SourceBPF, nil)
		kernel.records <- record(tcpOpen, 20, 2, out, opened(20), by("b", 7))
		kernel.records <- record(tcpOpen, 10, 1, out, opened(10), by("a", 7))
		kernel.records <- record(bpfevent.TCPOpen, 40, 3, out, opened(40), by("c", 7))
		synctest.Wait()
		if n := tr.Count(nil); n != 3 {
			t.Errorf("%d sessions in the live table, want all that happened", n)
		}
		if n := tr.Stats().Events; n != 0 {
			t.Errorf("%d events before the look is over", n)
		}
		kernel.passed((began + 20) * 1e6)
		if n := tr.Stats().Events; n != 2 {
			t.Errorf("%d events after the look, want 2", n)
		}
		kernel.mu.Lock()
		kernel.losses.Ring = 5
		kernel.mu.Unlock()
		for i, want := range []string{
			"open out tcp 10.0.0.1:1001>10.0.0.2:80 a/7", "open out tcp 10.0.0.1:1002>10.0.0.2:80 b/7",
			"lost 5 " + whyRing, "open out tcp 10.0.0.1:1003>10.0.0.2:80 c/7",
		} {
			if i == 2 {
				if err := tr.Close(); err != nil {
					t.Error(err)
				}
			}
			if got := next(t, tr, 1)[0]; got != want {
				t.Errorf("event %d: %s, want %s", i, got, want)
			}
		}
	})
}
