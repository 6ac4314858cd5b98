package ledger

import (
	"context"
	"sync"
	"time"

	"github.com/seed-44df2ae6/whose"
)

// lotSize is the number of events that the reader takes at once.
const lotSize = 256

// A Queue holds the events waiting for the reader, up to its bound. Events
// beyond it are counted, and reported when there is room again. One goroutine
// reads at a time; any may write.
type Queue struct {
	mu sync.Mutex
	// waiting, from first on, are the events in order.
	waiting []Event
	first   int
	limit   int
	// dropped counts since the last report of losses.
	dropped, total uint64
	// lost makes the event for dropped ones, toldAt is the time of the last one.
	lost   func(n uint64) Event
	toldAt time.Time
	now    func() time.Time
	// ended: nothing more will come. err is the reason, nil for a plain end.
	ended bool
	err   error
	// ready has room for one token: something has come, or the end.
	ready chan struct{}

	// lot are the events taken by the reader, and read its place in them. They
	// belong to the reader, so they need no lock.
	lot  []Event
	read int
}

// lossEvery is the least time between two reports of dropped events. A reader
// that is a little too slow shall not read of nothing else.
const lossEvery = 100 * time.Millisecond

// NewQueue returns a queue of at most so many events. now is the wall clock,
// and lost makes the event for dropped ones.
func NewQueue(limit int, now func() time.Time, lost func(uint64) Event) *Queue {
	return &Queue{limit: limit, now: now, lost: lost, ready: make(chan struct{}, 1)}
}

// Put adds events, or counts them at the bound. Losses always find room: they
// are few, and nothing else may be silent.
func (q *Queue) Put(events ...Event) {
	q.mu.Lock()
	wake := q.len() == 0
	for _, e := range events {
		q.putOne(e)
	}
	wake = wake && q.len() > 0
	q.mu.Unlock()
	if wake {
		q.wake()
	}
}

func (q *Queue) putOne(m Event) {
	switch {
	case q.ended:
		return
	case m.kind == whose.EventLost:
	case q.len() >= q.limit:
		q.dropped++
		q.total++
		return
	case q.dropped > 0:
		q.tellDropped()
	}
	q.waiting = append(q.waiting, m)
}

// len returns the number of waiting events. The lock is held.
func (q *Queue) len() int { return len(q.waiting) - q.first }

// tellDropped adds the event for dropped ones, unless one was added just
// before; after the end at once. The lock is held.
func (q *Queue) tellDropped() {
	now := q.now()
	if q.dropped == 0 || !q.ended && now.Sub(q.toldAt) < lossEvery {
		return
	}
	q.waiting = append(q.waiting, q.lost(q.dropped))
	q.dropped, q.toldAt = 0, now
}

// Remind reports dropped events for which no later event comes to trigger the
// report.
func (q *Queue) Remind() {
	q.mu.Lock()
	before := q.len()
	q.tellDropped()
	news := q.len() > before
	q.mu.Unlock()
	if news {
		q.wake()
	}
}

// End ends the queue with err, once the reader has read the waiting events.
func (q *Queue) End(err error) {
	q.mu.Lock()
	if !q.ended {
		q.ended, q.err = true, err
	}
	q.mu.Unlock()
	q.wake()
}

func (q *Queue) wake() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// Next waits for the oldest event and returns it; it is valid until the next
// call. Next returns false when ctx or the queue ends, with the queue's error
// once.
func (q *Queue) Next(ctx context.Context) (m *Event, more bool, err error) {
	for {
		// The end of ctx counts even while there is always more to read.
		if ctx.Err() != nil {
			return nil, false, nil
		}
		m, ended, err := q.take()
		if m != nil || ended {
			return m, !ended, err
		}
		select {
		case <-ctx.Done():
			return nil, false, nil
		case <-q.ready:
		}
	}
}

// take returns the oldest event, valid until the next call, or nil. It returns
// the error once.
func (q *Queue) take() (m *Event, ended bool, err error) {
	if q.read == len(q.lot) {
		if ended, err = q.nextLot(); len(q.lot) == 0 {
			return nil, ended, err
		}
	}
	q.read++
	return &q.lot[q.read-1], false, nil
}

// nextLot takes the oldest waiting events.
func (q *Queue) nextLot() (ended bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	clear(q.lot)
	q.lot, q.read = q.lot[:0], 0
	if q.len() == 0 {
		q.tellDropped()
	}
	if n := min(q.len(), lotSize); n > 0 {
		taken := q.waiting[q.first : q.first+n]
		q.lot = append(q.lot, taken...)
		clear(taken)
		q.first += n
		q.closeUp()
		return false, nil
	}
	err, q.err = q.err, nil
	if q.ended {
		q.wake() // for the next reader
	}
	return q.ended, err
}

// closeUp moves the waiting events to the front, where it is worth it.
func (q *Queue) closeUp() {
	if q.first < len(q.waiting) && q.first < len(q.waiting)/2 {
		return
	}
	n := copy(q.waiting, q.waiting[q.first:])
	clear(q.waiting[n:])
	q.waiting, q.first = q.waiting[:n], 0
}

// Lost returns the number of dropped events.
func (q *Queue) Lost() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.total
}
