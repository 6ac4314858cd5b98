package agent

import (
	"cmp"
	"context"
	"io"
	"slices"
	"time"

	"github.com/seed-44df2ae6/whose"
)

// Reasons for lost events.
const (
	whySlow  = "the reader was too slow"
	whyAnew  = "the agent began anew since"
	whyNever = "no event has this number yet"
)

// A Reader reads the events of a [Feed] at its own pace. It is for one goroutine.
type Reader struct {
	feed *Feed
	next uint64
	// why is the reason for a place that the feed does not have, "" for none.
	why   string
	ready chan struct{}
}

// Follow returns a reader of the events after the one with the number. The number of
// an earlier agent, or one that the feed has not given, is a loss of unknown size;
// the reader goes on with all that the feed has.
func (f *Feed) Follow(after uint64) *Reader {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := &Reader{feed: f, next: after + 1, ready: make(chan struct{}, 1)}
	switch {
	case after < f.first-1:
		r.next, r.why = f.oldest(), whyAnew
	case after >= f.next:
		r.next, r.why = f.oldest(), whyNever
	}
	return r
}

// oldest is the number of the oldest event in the ring. The lock is held.
func (f *Feed) oldest() uint64 { return f.next - min(f.next-f.first, f.kept) }

// Read waits for events and copies them to dst, which has room for two at least. The
// first may be a loss ([whose.EventLost]): of the events that were overwritten before
// they were read, with the number of the last one. The error is that of ctx or of
// the feed, or [io.EOF] after the last event.
func (r *Reader) Read(ctx context.Context, dst []Item) (n int, err error) {
	for {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if n, err := r.take(dst, true); n > 0 || err != nil {
			return n, err
		}
		select {
		case <-ctx.Done():
			r.leave()
		case <-r.ready:
		}
	}
}

// leave takes the reader from those that wait.
func (r *Reader) leave() {
	r.feed.mu.Lock()
	defer r.feed.mu.Unlock()
	r.feed.waiting = slices.DeleteFunc(r.feed.waiting, func(o *Reader) bool { return o == r })
}

// Take copies what is there, as Read does, and does not wait.
func (r *Reader) Take(dst []Item) (n int, err error) { return r.take(dst, false) }

// take copies what is there. With nothing it puts a reader that waits among the others.
func (r *Reader) take(dst []Item, wait bool) (n int, err error) {
	f := r.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if lost, why := r.behind(); why != "" {
		dst[0] = Item{Seq: r.next - 1, Event: whose.Event{
			Time: time.Now(), Kind: whose.EventLost, Cause: whose.CauseLost, Lost: lost, Why: why,
		}}
		n = 1
	}
	for ; n < len(dst) && r.next < f.next; n++ {
		dst[n].copy(&f.ring[(r.next-f.first)%f.kept])
		r.next++
	}
	switch {
	case n > 0:
		return n, nil
	case f.ended:
		return 0, cmp.Or(f.err, io.EOF)
	}
	if wait {
		f.waiting = append(f.waiting, r)
	}
	return 0, nil
}

// behind moves the reader to the oldest event where its place is gone, and returns
// the number of lost events, 0 if unknown, and the reason, "" for no loss. The lock
// is held.
func (r *Reader) behind() (lost uint64, why string) {
	why, r.why = r.why, ""
	if oldest := r.feed.oldest(); r.next < oldest {
		if why == "" {
			lost, why = oldest-r.next, whySlow
		}
		r.next = oldest
	}
	return lost, why
}
