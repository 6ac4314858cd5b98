package track

import (
	"context"
	"sync"
)

// chunkSize is how many events a chunk of the queue holds.
const chunkSize = 256

// A queue holds the events that wait for the reader. It grows by chunks to its
// bound; what comes after that is counted, and told when there is room again.
// One goroutine reads at a time; any may write.
type queue struct {
	mu sync.Mutex
	// chunks in order: the first is being read, the last written.
	chunks []*chunk
	spare  *chunk
	// read is the place in the first chunk.
	read    int
	waiting int
	limit   int
	// dropped is counted since the last time that it was told.
	dropped, total uint64
	// lost makes the event that tells of dropped ones.
	lost func(n uint64) Event
	// ended: nothing more will come, err says why if that is no plain end.
	ended bool
	err   error
	// ready has room for one token: something has come, or the end.
	ready chan struct{}
}

type chunk struct {
	events [chunkSize]Event
	used   int
}

func newQueue(limit int, lost func(uint64) Event) *queue {
	return &queue{limit: limit, lost: lost, ready: make(chan struct{}, 1)}
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
	if q.dropped > 0 && e.Kind != Lost {
		q.append(q.takeDropped())
	}
	*q.place() = *e
	wake := q.waiting == 1
	q.mu.Unlock()
	if wake {
		q.wake()
	}
}

func (q *queue) append(e Event) { *q.place() = e }

// takeDropped returns the event that tells of those that were dropped.
func (q *queue) takeDropped() Event {
	e := q.lost(q.dropped)
	q.dropped = 0
	return e
}

// place returns room for one more event.
func (q *queue) place() *Event {
	n := len(q.chunks)
	if n == 0 || q.chunks[n-1].used == chunkSize {
		c := q.spare
		if c == nil {
			c = &chunk{}
		}
		q.spare = nil
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
	var e Event
	for {
		// The end of ctx counts even while there is always more to read.
		if ctx.Err() != nil {
			return
		}
		got, ended, err := q.take(&e)
		switch {
		case got:
			if !yield(e, nil) {
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

// take moves the oldest event to e. The error is told to one reader only.
func (q *queue) take(e *Event) (got, ended bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiting == 0 {
		if q.dropped > 0 {
			*e = q.takeDropped()
			return true, false, nil
		}
		err, q.err = q.err, nil
		if q.ended {
			q.wake() // for whoever reads next
		}
		return false, q.ended, err
	}
	c := q.chunks[0]
	*e = c.events[q.read]
	c.events[q.read] = Event{} // what it refers to may go
	q.read++
	q.waiting--
	if q.read == c.used {
		q.dropChunk()
	}
	return true, false, nil
}

// dropChunk takes the first chunk away, which has been read.
func (q *queue) dropChunk() {
	c := q.chunks[0]
	c.used, q.read = 0, 0
	if len(q.chunks) == 1 {
		return // it is written again from its beginning
	}
	q.chunks[0] = nil
	q.chunks = q.chunks[1:]
	q.spare = c
}

// lostTotal returns how many events were dropped.
func (q *queue) lostTotal() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.total
}
