package track

import (
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/filter"
)

// Options select the sessions to follow. The zero value, and nil, follow every TCP
// and UDP session in every network namespace, with the best source.
type Options struct {
	// Filter selects sessions; see [filter.Parse]. Nil: every session. The kernel
	// applies a part of it, but no conditions on states, since these change.
	Filter filter.Expr
	// Protos and Families select sessions beside Filter. Zero: all.
	Protos   whose.Set[whose.Proto]
	Families whose.Set[whose.Family]
	// NetNS chooses network namespaces as in [collect.Options].
	NetNS string
	// Events are the wanted kinds. Zero: all. [whose.EventLost] always comes.
	Events whose.Set[whose.EventKind]
	// NoInitial leaves out [whose.EventStanding]; the live table has the sessions
	// all the same.
	NoInitial bool
	// Needs are the costly facts of the events. Zero means owners with command line
	// and executable, the owners of the other end, user and namespace name.
	Needs whose.Needs
	// Traffic: [whose.EventStanding] of TCP has the kernel's figures, bytes sent and
	// received since the session opened among them. They cost a look at each session
	// that stands. [Tracker.Measure] has those of a later moment.
	Traffic bool
	// UDPIdle is the time without a datagram after which a UDP flow is closed.
	// Zero means 30 s.
	UDPIdle time.Duration
	// Source is "bpf" (needs CAP_BPF and CAP_PERFMON, CAP_NET_ADMIN for the
	// cgroup programs, and Linux 6.1), "netlink" (the kernel reports closed
	// sockets, snapshots find opens; no privilege for the caller's own namespace,
	// CAP_SYS_ADMIN for others), or "snapshot" (differences only, no privilege).
	// "" and "auto" take the best that works.
	Source string
	// Interval is the time between two snapshots, which all sources but BPF need,
	// or between two reconciliations of owners with BPF. Zero means 1 s for
	// snapshots, 10 s for reconciliations.
	Interval time.Duration
	// BufferSize is the size of the kernel's ring buffer in bytes, rounded up
	// to a power of two. Zero means 8 MiB.
	BufferSize int
	// MaxSessions bounds the live table, and with it the memory: about 200
	// bytes each. Zero means 1,000,000. Sessions beyond it have their events, and
	// are counted as lost to the table.
	MaxSessions int
	// MaxFlows bounds the UDP flows counted in the kernel. Zero means 65,536.
	MaxFlows int
	// MaxEvents bounds the events waiting for the reader of [Tracker.Events]. Zero
	// means 65,536, about 480 bytes each. Events beyond it are lost and counted.
	MaxEvents int
	// Collector makes the snapshots. Nil: the tracker opens its own.
	Collector *collect.Collector
	// Proc is the root of procfs. Empty means /proc.
	Proc string
	// PinDir is the directory of pinned iterators. Empty means
	// [collect.DefaultPinDir].
	PinDir string
	// Clock is the time. Nil: the host's clocks.
	Clock Clock

	// packets counts UDP as kernels before 6.3 do, for tests.
	packets bool
}

// A Clock is the time, replaceable in tests.
type Clock interface {
	// Now is the wall clock.
	Now() time.Time
	// Boot is the time since boot, sleep counted (CLOCK_BOOTTIME), as the
	// kernel stamps its records.
	Boot() time.Duration
	// After is as time.After.
	After(d time.Duration) <-chan time.Time
}
