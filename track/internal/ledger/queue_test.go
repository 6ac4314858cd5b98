package ledger

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/seed-44df2ae6/whose"
)

func lostEvent(n uint64) Event {
	return LossOf(Loss{n, whose.CauseLost, "events read too slowly"}, time.Unix(0, 0), 0)
}

// ticking is a clock that is a second later each time.
func ticking() func() time.Time {
	now := time.Unix(0, 0)
	return func() time.Time {
		now = now.Add(time.Second)
		return now
	}
}

// numbered is an event that can be told from others.
func numbered(n int) Event {
	return Event{lifetime: &lifetime{facts: facts{duration: time.Duration(n), labels: &labels{}}}, kind: whose.EventFail}
}

// drain reads what waits, without waiting for more.
func (q *Queue) drain() (all []whose.Event) {
	for {
		m, _, _ := q.take()
		if m == nil {
			return all
		}
		var e whose.Event
		m.Write(&e, nil)
		all = append(all, e)
	}
}

func TestQueue_BoundThenTold(t *testing.T) {
	q := NewQueue(1000, ticking(), lostEvent)
	for i := range 1500 {
		q.Put(numbered(i))
	}
	q.Put(LossOf(Loss{1, whose.CauseLost, "ring buffer full"}, time.Unix(0, 0), 0)) // has room always
	all := q.drain()
	if len(all) != 1002 {
		t.Fatalf("%d events, want 1000, a loss, and the loss of 500", len(all))
	}
	for i := range 1000 {
		if all[i].Duration != time.Duration(i) {
			t.Fatalf("event %d is number %d", i, all[i].Duration)
		}
	}
	if last := all[1001]; last.Kind != whose.EventLost || last.Lost != 500 {
		t.Errorf("at last %v %d, want that 500 were lost", last.Kind, last.Lost)
	}
	if n := q.Lost(); n != 500 {
		t.Errorf("%d lost in total, want 500", n)
	}
}

// TestQueue_TellsLossInPlace: the loss stands between what came before it and
// what came after.
func TestQueue_TellsLossInPlace(t *testing.T) {
	q := NewQueue(2, ticking(), lostEvent)
	for i := range 5 {
		q.Put(numbered(i))
	}
	q.take()
	q.Put(numbered(5))
	all := q.drain()
	if len(all) != 3 || all[0].Duration != 1 || all[1].Lost != 3 || all[2].Duration != 5 {
		t.Errorf("got %v", all)
	}
}

func TestQueue_Memory(t *testing.T) {
	q := NewQueue(1<<20, ticking(), lostEvent)
	for i := range 10_000 {
		q.Put(numbered(i))
	}
	q.drain()
	for i := range 10_000 {
		q.Put(numbered(i))
		q.drain()
	}
	if n := len(q.waiting); n > 0 {
		t.Errorf("%d events are kept for an empty queue", n)
	}
	for _, m := range slices.Concat(q.waiting[:cap(q.waiting)], q.lot[len(q.lot):cap(q.lot)]) {
		if m.lifetime != nil {
			t.Fatal("what was read is still referred to")
		}
	}
}

func TestQueue_Ends(t *testing.T) {
	broke := errors.New("broke")
	for _, want := range []error{nil, broke} {
		q := NewQueue(10, ticking(), lostEvent)
		q.Put(numbered(1))
		q.End(want)
		q.Put(numbered(2)) // too late
		for range 2 {      // whoever reads next does not hang either
			n := 0
			var err error
			for more := true; more; n++ {
				_, more, err = q.Next(context.Background())
			}
			if errors.Is(err, broke) != (want != nil && n > 1) {
				t.Errorf("%d events, error %v, want %v", n, err, want)
			}
		}
	}
}

func TestQueue_ReaderIsWoken(t *testing.T) {
	q := NewQueue(10_000, ticking(), lostEvent)
	got := make(chan int)
	go func() {
		n := 0
		for {
			if _, more, _ := q.Next(context.Background()); !more {
				break
			}
			n++
		}
		got <- n
	}()
	for i := range 10_000 {
		q.Put(numbered(i))
	}
	q.End(nil)
	if n := <-got; n != 10_000 {
		t.Errorf("%d events came through, want all", n)
	}
	ctx, cancel := context.WithCancel(context.Background())
	q = NewQueue(10, ticking(), lostEvent)
	go func() {
		_, _, _ = q.Next(ctx)
		got <- 0
	}()
	cancel()
	<-got
}

// TestQueue_TellsLossesNowAndThen: a reader that is a little too slow is told of
// its losses ten times a second at most, of the last ones without another event.
func TestQueue_TellsLossesNowAndThen(t *testing.T) {
	now := time.Unix(0, 0).Add(time.Hour)
	q := NewQueue(1, func() time.Time { return now }, lostEvent)
	var told []uint64
	for range 40 { // 400 ms, of two events each the second is lost
		q.Put(numbered(1))
		q.Put(numbered(2))
		for _, e := range q.drain() {
			if e.Kind == whose.EventLost {
				told = append(told, e.Lost)
			}
		}
		now = now.Add(10 * time.Millisecond)
	}
	if len(told) != 4 {
		t.Errorf("told of losses %v, want one in 100 ms", told)
	}
	now = now.Add(time.Second)
	q.Remind()
	for _, e := range q.drain() {
		told = append(told, e.Lost)
	}
	var sum uint64
	for _, n := range told {
		sum += n
	}
	if sum != 40 || sum != q.Lost() {
		t.Errorf("told of losses %v, %d in all, want 40", told, sum)
	}
}
