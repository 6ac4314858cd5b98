package track

import (
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/track/internal/ledger"
)

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
	Gaps whose.Gaps
}

// Stats is the account of a tracker since it was started.
type Stats struct {
	// Records counts what the kernel told, Events what was made of it and
	// given out or waits to be, Standing ones not counted.
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
	// Table: sessions that found no place in the live table
	// (Options.MaxSessions). Their events are told.
	Table uint64
	// Start: records beyond what is kept while the first snapshot is taken.
	Start uint64
	// Reader: events that the reader of Events was too slow for.
	Reader uint64
	// Netlink: times that the kernel dropped messages because they were read
	// too slowly; how many each time nobody knows.
	Netlink uint64
}

// Total is the sum of all places.
func (l Losses) Total() uint64 {
	return l.Ring + l.Recursion + l.Flows + l.Sockets + l.Table + l.Start + l.Reader + l.Netlink
}

// The places where events are lost.
const (
	whyRing      = "ring buffer full"
	whyRecursion = "program kept out by another on the same CPU"
	whyFlows     = "no room for more UDP flows"
	whySockets   = "no room for more sockets in the programs"
	whyTable     = "no room for more sessions in the live table"
	whyStart     = "too much happened during the first snapshot"
	whyReader    = "events read too slowly"
	whyNetlink   = "netlink messages read too slowly"
)

// since returns what was lost since an earlier account, by place, with 0 where
// nothing was. The losses of the reader are told by the queue.
func (l Losses) since(before Losses) [7]ledger.Loss {
	return [...]ledger.Loss{
		{N: l.Netlink - before.Netlink, Cause: whose.CauseLost, Why: whyNetlink},
		{N: l.Flows - before.Flows, Cause: whose.CauseLimit, Why: whyFlows},
		{N: l.Table - before.Table, Cause: whose.CauseLimit, Why: whyTable},
		{N: l.Sockets - before.Sockets, Cause: whose.CauseLimit, Why: whySockets},
		{N: l.Recursion - before.Recursion, Cause: whose.CauseLost, Why: whyRecursion},
		{N: l.Ring - before.Ring, Cause: whose.CauseLost, Why: whyRing},
		{N: l.Start - before.Start, Cause: whose.CauseLimit, Why: whyStart},
	}
}
