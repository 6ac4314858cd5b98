package track

import (
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/filter"
)

// Options say what to follow and how. The zero value, and nil, follow every
// TCP and UDP session in every network namespace, with the best source there is.
type Options struct {
	// Filter is the expression that a session has to meet for its events to be
	// told. Nil: every session. The part that the kernel can apply is applied
	// there. States are not part of it: an event says what became of them.
	Filter filter.Expr
	// Protos and Families that are wanted, beside what Filter says. Zero: all.
	Protos   whose.Set[whose.Proto]
	Families whose.Set[whose.Family]
	// NetNS chooses network namespaces as in collect.Options.
	NetNS string
	// Events are the kinds that are wanted. Zero: all. EventLost always comes.
	Events whose.Set[whose.EventKind]
	// NoInitial leaves out the events Standing; the live table has the
	// sessions all the same.
	NoInitial bool
	// Needs says which facts the events show. Zero means owners with command
	// line and executable, the owners of the other end, user and namespace name.
	Needs whose.Needs
	// UDPIdle is the time without a datagram after which a UDP flow is closed.
	// Zero means 30 s.
	UDPIdle time.Duration
	// Source is "bpf" (needs CAP_BPF and CAP_PERFMON, CAP_NET_ADMIN for the
	// cgroup programs, and Linux 6.1), "netlink" (the kernel tells of closed
	// sockets, opens are found by snapshots; no privilege for the caller's own
	// namespace, CAP_SYS_ADMIN for others), or "snapshot" (differences only, no
	// privilege). "" and "auto" take the best that works.
	Source string
	// Interval is the time between two snapshots of a source that needs them,
	// and between two reconciliations of owners with BPF. Zero means 1 s with
	// snapshots, 10 s for reconciling.
	Interval time.Duration
	// BufferSize is the size of the kernel's ring buffer in bytes, rounded up
	// to a power of two. Zero means 8 MiB.
	BufferSize int
	// MaxSessions bounds the live table, and with it the memory: about 200
	// bytes each. Zero means 1,000,000. Of what does not fit the events are
	// told; that the table lacks it is told as lost.
	MaxSessions int
	// MaxFlows bounds the UDP flows that the kernel counts. Zero means 65,536.
	MaxFlows int
	// MaxEvents bounds the events that wait for the reader of Events. Zero
	// means 65,536, about 400 bytes each. What does not fit is told as lost.
	MaxEvents int
	// Collector makes the snapshots. Nil: the tracker opens its own.
	Collector *collect.Collector
	// Proc is the root of procfs. Empty means /proc.
	Proc string
	// PinDir is where pinned iterators are looked for. Empty means collect.DefaultPinDir.
	PinDir string
	// Clock tells the time. Nil: the host's clocks.
	Clock Clock

	// packets has UDP counted as on kernels before 6.3, for tests.
	packets bool
}

// A Clock tells the time and waits, so that tests need not.
type Clock interface {
	// Now is the wall clock.
	Now() time.Time
	// Boot is the time since boot, sleep counted (CLOCK_BOOTTIME), as the
	// kernel stamps its records.
	Boot() time.Duration
	// After is as time.After.
	After(d time.Duration) <-chan time.Time
}
