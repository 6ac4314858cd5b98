package track

import (
	"context"
	"sync"
	"time"
)

// chunkSize is how many events a chunk of the queue holds.
const chunkSize = 256

// A queue holds the events that wait for the reader. It grows by chunks to its
// bound; what comes after that is counted, and told when there is room again.
// One goroutine reads at a time; any may write.
type queue struct {
	mu sync.Mutex
	// chunks in order: the last is being written.
	chunks  []*chunk
	spare   []*chunk
	waiting int // in chunks
	limit   int
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

	// current is the chunk that the reader has taken, and read the place in it.
	// They are the reader's, who needs no lock for them.
	current *chunk
	read    int
}

// lossEvery is the least time between two events that tell of dropped ones: a
// reader that is a little too slow shall not read of nothing else.
const lossEvery = 100 * time.Millisecond

// maxSpare is how many chunks are kept to be used again, 100 KiB each: about
// what a burst between two looks at the ring buffer takes.
const maxSpare = 32

type chunk struct {
	events [chunkSize]Event
	used   int
}

func newQueue(limit int, now func() time.Time, lost func(uint64) Event) *queue {
	return &queue{limit: limit, now: now, lost: lost, ready: make(chan struct{}, 1)}
}

// put adds an event, or counts it where the bound is reached. Losses always
// find room: they are few, and nothing else may be silent.
func (q *queue) put(e *Event) {
	q.mu.Lock()
	if q.ended || q.waiting >= q.limit && e.Kind != Lost {
		if !q.ended {
			q.dropped++
			q.total++
		}
		q.mu.Unlock()
		return
	}
	wake := q.waiting == 0
	if q.dropped > 0 && e.Kind != Lost {
		q.tellDropped()
	}
	*q.place() = *e
	q.mu.Unlock()
	if wake {
		q.wake()
	}
}

// tellDropped adds the event that tells of those that were dropped, unless one
// has just done so; after the end at once. The lock is held.
func (q *queue) tellDropped() {
	now := q.now()
	if q.dropped == 0 || !q.ended && now.Sub(q.toldAt) < lossEvery {
		return
	}
	*q.place() = q.lost(q.dropped)
	q.dropped, q.toldAt = 0, now
}

// remind tells of dropped events that are still to be told where no event
// comes any more that would.
func (q *queue) remind() {
	q.mu.Lock()
	before := q.waiting
	q.tellDropped()
	news := q.waiting > before
	q.mu.Unlock()
	if news {
		q.wake()
	}
}

// place returns room for one more event.
func (q *queue) place() *Event {
	n := len(q.chunks)
	if n == 0 || q.chunks[n-1].used == chunkSize {
		var c *chunk
		if k := len(q.spare); k > 0 {
			c, q.spare = q.spare[k-1], q.spare[:k-1]
		} else {
			c = &chunk{}
		}
		q.chunks = append(q.chunks, c)
		n++
	}
	last := q.chunks[n-1]
	last.used++
	q.waiting++
	return &last.events[last.used-1]
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
	if q.current == nil || q.read == q.current.used {
		if ended, err = q.nextChunk(); q.current == nil {
			return nil, ended, err
		}
	}
	q.read++
	return &q.current.events[q.read-1], false, nil
}

// nextChunk takes the oldest chunk out of the queue, for the reader alone.
func (q *queue) nextChunk() (ended bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.giveBack()
	if q.waiting == 0 {
		q.tellDropped()
	}
	if q.waiting > 0 {
		q.current = q.chunks[0]
		q.chunks[0] = nil
		q.chunks = q.chunks[1:]
		q.waiting -= q.current.used
		return false, nil
	}
	err, q.err = q.err, nil
	if q.ended {
		q.wake() // for whoever reads next
	}
	return q.ended, err
}

// giveBack keeps the chunk that was read to be used again, empty, so that what
// its events refer to may go.
func (q *queue) giveBack() {
	c := q.current
	if q.current, q.read = nil, 0; c == nil || len(q.spare) >= maxSpare {
		return
	}
	clear(c.events[:c.used])
	c.used = 0
	q.spare = append(q.spare, c)
}

// lostTotal returns how many events were dropped.
func (q *queue) lostTotal() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.total
}
