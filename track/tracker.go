package track

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
)

// A Tracker follows sessions from the moment it was started until it is closed.
// It is safe for concurrent use, but has one stream of events for one reader.
// Whoever started it closes it.
type Tracker struct {
	mu    sync.RWMutex
	queue *queue
}

// Start begins to follow sessions: it attaches to the kernel first and takes a
// snapshot after, so that there is no gap between the two and nothing is told
// twice. It returns when the live table holds what stands. ctx bounds that
// beginning only.
//
// Without the privilege or the kernel for the source "bpf" the source "auto"
// takes the next best; Source says which, and why not better.
func Start(ctx context.Context, opts *Options) (*Tracker, error) {
	return nil, &whose.UnsupportedError{What: "following sessions on this host"}
}

// Events returns the stream of events, for one reader at a time. It begins
// with the sessions that stood (Standing) unless Options.NoInitial, and ends
// when ctx ends, which is no error, or when the tracker was closed and all that
// happened until then has been given out. An error ends it too: the source
// broke down.
//
// A reader that leaves off and calls Events again goes on where it was. One
// that is slow loses nothing until Options.MaxEvents wait for it; what happens
// beyond that is counted and told as Lost.
func (t *Tracker) Events(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) { t.queue.each(ctx, yield) }
}

// Sessions returns the sessions of the live table that meet the expression,
// nil for all, in no order. It does not touch the kernel. Each is as it is at
// the moment it is handed out, and may be kept. Owners have no descriptors.
func (t *Tracker) Sessions(where filter.Expr) iter.Seq[whose.Session] {
	return func(yield func(whose.Session) bool) {}
}

// Append appends to dst the sessions of the live table that meet the
// expression, nil for all, all as they are at one moment, in no order.
func (t *Tracker) Append(dst []whose.Session, where filter.Expr) []whose.Session {
	return dst
}

// Count returns how many sessions of the live table meet the expression, nil
// for all. It does not touch the kernel and builds no sessions but those that
// the expression needs to see.
func (t *Tracker) Count(where filter.Expr) int { return 0 }

// Source says where the tracker's knowledge comes from.
func (t *Tracker) Source() Source { return Source{} }

// Stats returns the account of the tracker until now.
func (t *Tracker) Stats() Stats { return Stats{} }

// Close ends the following and gives back programs, descriptors and threads.
// What happened until then can still be read from Events, the losses that were
// counted last among it; the live table stays as it was.
func (t *Tracker) Close() error { return nil }

// A Source says which way a tracker follows sessions, why not by a better one,
// and what that way cannot see.
type Source struct {
	// Name is "bpf", "netlink" or "snapshot".
	Name string
	// Why says in one line why no better source is used, empty for the best or
	// where one was asked for: "source bpf: load programs: permission denied".
	Why string
	// Hint says what the user can do about it, empty where nothing helps.
	Hint string
	// Interval is the time between two snapshots of a source that finds opens
	// by them; 0 for "bpf".
	Interval time.Duration
	// Gaps say what is not seen: sessions shorter than Interval, namespaces
	// that may not be entered, processes that may not be looked into.
	Gaps []whose.Gap
}

// Stats is the account of a tracker since it was started.
type Stats struct {
	// Records counts what the kernel told, Events what was made of it and
	// given out or waits to be.
	Records, Events uint64
	// Sessions in the live table; Flows of UDP and Processes among what is kept.
	Sessions, Flows, Processes int
	// Lost counts by place what did not come through.
	Lost Losses
	// Start is how long it took until the live table held what stood, and
	// Snapshot the part of it that the snapshot took.
	Start, Snapshot time.Duration
	// Reconciled counts the snapshots taken since, to correct owners and to
	// find what was lost.
	Reconciled uint64
}

// Losses count what did not come through, by place. The zero value is that of
// a tracker that lost nothing.
type Losses struct {
	// Ring: records that found the kernel's ring buffer full.
	Ring uint64
	// Recursion: runs of a program that the kernel left out because one was
	// under way on the same CPU.
	Recursion uint64
	// Flows: UDP flows that found no place among those that the kernel counts.
	Flows uint64
	// Sockets: sockets of which the programs could keep no note.
	Sockets uint64
	// Table: sessions that found no place in the live table (Options.MaxSessions).
	Table uint64
	// Start: records beyond what is kept while the first snapshot is taken.
	Start uint64
	// Reader: events that the reader of Events was too slow for.
	Reader uint64
	// Netlink: messages that the kernel dropped because they were read too slowly.
	Netlink uint64
}

// Total is the sum of all places.
func (l Losses) Total() uint64 {
	return l.Ring + l.Recursion + l.Flows + l.Sockets + l.Table + l.Start + l.Reader + l.Netlink
}
