package track

import (
	"context"
	"sync"
	"time"
)

// lotSize is how many events the reader takes at once.
const lotSize = 256

// A queue holds the events that wait for the reader, up to its bound; what
// comes after that is counted, and told when there is room again. Events are
// handed over by pointer, and come back to be written again once they are read.
// One goroutine reads at a time; any may write.
type queue struct {
	mu sync.Mutex
	// waiting from first on are the events, in order.
	waiting []*Event
	first   int
	limit   int
	// free are events that were read, empty.
	free []*Event
	// dropped is counted since the last time that it was told.
	dropped, total uint64
	// lost makes the event that tells of dropped ones, toldAt is when it did.
	lost   func(n uint64) Event
	toldAt time.Time
	now    func() time.Time
	// ended: nothing more will come, err says why if that is no plain end.
	ended bool
	err   error
	// ready has room for one token: something has come, or the end.
	ready chan struct{}

	// lot are the events that the reader has taken, and read the place in it.
	// They are the reader's, who needs no lock for them.
	lot  []*Event
	read int
}

// lossEvery is the least time between two events that tell of dropped ones: a
// reader that is a little too slow shall not read of nothing else.
const lossEvery = 100 * time.Millisecond

// maxFree is how many events are kept to be written again, 7 MiB: about what
// a burst between two looks at the ring buffer takes.
const maxFree = 1 << 14

func newQueue(limit int, now func() time.Time, lost func(uint64) Event) *queue {
	return &queue{limit: limit, now: now, lost: lost, ready: make(chan struct{}, 1)}
}

// put takes events over, or counts them where the bound is reached. Losses
// always find room: they are few, and nothing else may be silent.
func (q *queue) put(events ...*Event) {
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

func (q *queue) putOne(e *Event) {
	switch {
	case q.ended:
		return
	case e.Kind == Lost:
	case q.len() >= q.limit:
		q.dropped++
		q.total++
		return
	case q.dropped > 0:
		q.tellDropped()
	}
	q.waiting = append(q.waiting, e)
}

// len is how many events wait. The lock is held.
func (q *queue) len() int { return len(q.waiting) - q.first }

// used appends events that were read, to be written again, up to maxFree.
func (q *queue) used(dst []*Event) []*Event {
	q.mu.Lock()
	defer q.mu.Unlock()
	dst = append(dst, q.free[:min(len(q.free), max(maxFree-len(dst), 0))]...)
	clear(q.free)
	q.free = q.free[:0]
	return dst
}

// tellDropped adds the event that tells of those that were dropped, unless one
// has just done so; after the end at once. The lock is held.
func (q *queue) tellDropped() {
	now := q.now()
	if q.dropped == 0 || !q.ended && now.Sub(q.toldAt) < lossEvery {
		return
	}
	e := q.lost(q.dropped)
	q.waiting = append(q.waiting, &e)
	q.dropped, q.toldAt = 0, now
}

// remind tells of dropped events that are still to be told where no event
// comes any more that would.
func (q *queue) remind() {
	q.mu.Lock()
	before := q.len()
	q.tellDropped()
	news := q.len() > before
	q.mu.Unlock()
	if news {
		q.wake()
	}
}

// end lets the reader go when it has read what waits.
func (q *queue) end(err error) {
	q.mu.Lock()
	if !q.ended {
		q.ended, q.err = true, err
	}
	q.mu.Unlock()
	q.wake()
}

func (q *queue) wake() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// each gives out events until ctx or the queue ends, or yield says so.
func (q *queue) each(ctx context.Context, yield func(Event, error) bool) {
	for {
		// The end of ctx counts even while there is always more to read.
		if ctx.Err() != nil {
			return
		}
		e, ended, err := q.take()
		switch {
		case e != nil:
			if !yield(*e, nil) {
				return
			}
			continue
		case ended && err != nil:
			yield(Event{}, err)
			return
		case ended:
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-q.ready:
		}
	}
}

// take returns the oldest event, which is valid until the next call, or nil.
// The error is told once.
func (q *queue) take() (e *Event, ended bool, err error) {
	if q.read == len(q.lot) {
		if ended, err = q.nextLot(); len(q.lot) == 0 {
			return nil, ended, err
		}
	}
	q.read++
	return q.lot[q.read-1], false, nil
}

// nextLot gives back the events that were read, and takes the oldest that wait.
func (q *queue) nextLot() (ended bool, err error) {
	for _, e := range q.lot {
		*e = Event{} // what it refers to may go
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.free = append(q.free, q.lot[:min(len(q.lot), max(maxFree-len(q.free), 0))]...)
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
		q.wake() // for whoever reads next
	}
	return q.ended, err
}

// closeUp moves the events that wait to the front, where it is worth it.
func (q *queue) closeUp() {
	if q.first < len(q.waiting) && q.first < len(q.waiting)/2 {
		return
	}
	n := copy(q.waiting, q.waiting[q.first:])
	clear(q.waiting[n:])
	q.waiting, q.first = q.waiting[:n], 0
}

// lostTotal returns how many events were dropped.
func (q *queue) lostTotal() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.total
}
