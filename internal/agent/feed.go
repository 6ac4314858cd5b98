package agent

import (
	"context"
	"sync"
	"time"

	"github.com/seed-44df2ae6/whose"
)

// Kept is the number of the latest events that a [Feed] keeps for its readers, 9 MB
// when it is full.
const Kept = 16384

// A Feed hands the events of one stream to several readers. There are two kinds: a
// tap sees every event at once and holds the stream up while it works; a [Reader]
// goes at its own pace among the latest events, and loses those beyond them. No
// reader holds up another one or the stream.
//
// Each event but those of the beginning ([whose.EventStanding]) has a number. The
// numbers follow each other, and those of a later agent are higher than those of an
// earlier one. Get one from [NewFeed]. A Feed is safe for concurrent use.
type Feed struct {
	taps []func(*whose.Event)

	mu sync.Mutex
	// ring holds the latest events, the one with the number first+i at i % kept. It
	// grows until it is full.
	ring []Item
	kept uint64
	// first is the number of the first event of all, next that of the next one.
	first, next uint64
	// waiting are the readers that wait for the next event.
	waiting []*Reader
	ended   bool
	err     error
}

// An Item is an event with its number. The figures of its session are its own.
type Item struct {
	Seq   uint64
	Event whose.Event
	tcp   whose.TCPInfo
}

// figures stands in the ring for the figures beside it.
var figures whose.TCPInfo

// set makes the item of a ring a copy of an event.
func (i *Item) set(seq uint64, e *whose.Event) {
	i.Seq, i.Event = seq, *e
	if e.Session.TCP != nil {
		i.tcp, i.Event.Session.TCP = *e.Session.TCP, &figures
	}
}

// copy makes the item of a reader a copy of one of a ring.
func (i *Item) copy(from *Item) {
	*i = *from
	if i.Event.Session.TCP != nil {
		i.Event.Session.TCP = &i.tcp
	}
}

// A Stream is where events come from, as [track.Tracker] has it.
type Stream interface {
	// Each calls fn for each event until fn returns false or the stream ends. The
	// event is valid until fn returns.
	Each(ctx context.Context, fn func(*whose.Event) bool) error
}

// NewFeed returns a feed that keeps so many of the latest events. Its numbers begin
// with the microseconds of the time, so they rise over restarts: no host has a
// million events a second for long.
func NewFeed(kept int, now time.Time) *Feed {
	first := uint64(max(now.UnixMicro(), 1))
	return &Feed{kept: uint64(max(kept, 1)), first: first, next: first}
}

// Tap adds a reader of every event, before [Feed.Run]. The event is valid until fn
// returns; its lists may be kept.
func (f *Feed) Tap(fn func(*whose.Event)) { f.taps = append(f.taps, fn) }

// Run hands on the events of a stream until the stream or ctx ends. It may be called
// again; [Feed.End] ends the readers.
func (f *Feed) Run(ctx context.Context, s Stream) error {
	return s.Each(ctx, func(e *whose.Event) bool {
		for _, tap := range f.taps {
			tap(e)
		}
		if e.Kind != whose.EventStanding {
			f.put(e)
		}
		return true
	})
}

// put keeps an event and wakes the readers that wait.
func (f *Feed) put(e *whose.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := (f.next - f.first) % f.kept
	if at == uint64(len(f.ring)) {
		f.ring = append(f.ring, Item{})
	}
	f.ring[at].set(f.next, e)
	f.next++
	f.wake()
}

func (f *Feed) wake() {
	for _, r := range f.waiting {
		select {
		case r.ready <- struct{}{}:
		default:
		}
	}
	clear(f.waiting)
	f.waiting = f.waiting[:0]
}

// End ends the feed: readers get the rest, then err, or the plain end.
func (f *Feed) End(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.ended {
		f.ended, f.err = true, err
	}
	f.wake()
}

// Last returns the number of the latest event; before the first one, the number
// before it.
func (f *Feed) Last() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.next - 1
}

// Ended reports whether the stream has ended.
func (f *Feed) Ended() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ended
}

// Waiting returns the number of readers that wait for the next event.
func (f *Feed) Waiting() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.waiting)
}
