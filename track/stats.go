package track

import (
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/track/internal/ledger"
)

// A Source is the way in which a tracker follows sessions: the reason for no
// better one, and the limits of its sight.
type Source struct {
	// Name is "bpf", "netlink" or "snapshot".
	Name string
	// Why is the reason in one line for no better source: "source bpf: load
	// programs: permission denied". Empty: it is the best one, or the one asked
	// for.
	Why string
	// Hint is advice for the user, empty where nothing helps.
	Hint string
	// Interval is the time between two snapshots of a source that finds opens by
	// them; 0 for "bpf".
	Interval time.Duration
	// Gaps are the unseen things: sessions shorter than Interval, namespaces that
	// may not be entered, processes that may not be looked into.
	Gaps whose.Gaps
}

// Stats is the account of a tracker since its start.
type Stats struct {
	// Records counts the kernel's records. Events counts the events made of them,
	// whether emitted or waiting, without the standing ones.
	Records, Events uint64
	// Sessions are those in the live table; Flows (UDP) and Processes are those
	// kept.
	Sessions, Flows, Processes int
	// Namespaces are the network namespaces that the latest snapshot looked into.
	Namespaces int
	// Lost counts the losses by place.
	Lost Losses
	// Start is the time until the live table held the standing sessions, and
	// Snapshot the part of it for the snapshot.
	Start, Snapshot time.Duration
	// Reconciled counts the snapshots since, which correct owners and find
	// losses.
	Reconciled uint64
}

// Losses count by place what got lost. The zero value: nothing.
type Losses struct {
	// Ring: records that found the kernel's ring buffer full.
	Ring uint64
	// Recursion: runs of a program skipped by the kernel because one was under
	// way on the same CPU.
	Recursion uint64
	// Flows: UDP flows without a place among those that the kernel counts.
	Flows uint64
	// Sockets: sockets without a note in the programs.
	Sockets uint64
	// Table: sessions without a place in the live table (Options.MaxSessions).
	// Their events are emitted.
	Table uint64
	// Start: records beyond the bound during the first snapshot.
	Start uint64
	// Reader: events dropped because the reader of [Tracker.Events] was too slow.
	Reader uint64
	// Netlink: the number of times that the kernel dropped messages because they
	// were read too slowly. Nobody knows how many each time.
	Netlink uint64
	// Forgotten: processes whose names were let go of, for there were too many, and
	// of which no exit was seen. No event is lost with them, so they are not in
	// Total: a name that is needed again is read from /proc.
	Forgotten uint64
}

// Total returns the sum of all places.
func (l Losses) Total() uint64 {
	return l.Ring + l.Recursion + l.Flows + l.Sockets + l.Table + l.Start + l.Reader + l.Netlink
}

// The places of losses.
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

// since returns the losses since an earlier account, by place, 0 for none. The
// queue reports the losses of the reader.
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
