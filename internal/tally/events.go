package tally

import (
	"cmp"
	"net/netip"
	"time"

	"github.com/seed-44df2ae6/whose"
)

// maxEventGroups bounds the processes, the remote addresses and the failures
// remembered by [Events], each.
const maxEventGroups = 10_000

// A Summary is the account of a watched host, the most important of each list
// first.
type Summary struct {
	// Took is the duration of the watch, and Source its way of following. The
	// caller sets both. Empty is left out.
	Took   time.Duration
	Source string
	// Counts holds the events by kind.
	Counts [1 + whose.EventLost]uint64
	// Gaps are the lost events, and other gaps known to the caller.
	Gaps whose.Gaps
	// Processes and Remotes count the sessions by process and by remote address,
	// and the bytes that went over them.
	Processes []Group[Actor, Traffic]
	Remotes   []Group[netip.Addr, Traffic]
	// Failures counts the failed attempts by failure.
	Failures []Group[Failure, uint64]
	// Busiest are the sessions with the most bytes.
	Busiest []Load
	// Uncounted counts the sessions of unknown traffic.
	Uncounted int
	// NoTraffic: nobody asked for traffic, and all bytes are unknown.
	NoTraffic bool
	// MoreProcesses, MoreRemotes and MoreFailures count the entries left out of the
	// lists.
	MoreProcesses, MoreRemotes, MoreFailures int
	// Beyond counts the events missing from a list: there was no room for another
	// process, remote address or failure.
	Beyond uint64
}

// An Actor is the subject of a session's count: a process by its name, or the
// reason why there is none.
type Actor struct {
	Comm   string
	Reason whose.Reason
}

// Traffic counts the sessions of one actor or one remote address.
type Traffic struct {
	// Out, In and Failed count sessions opened either way, and failed attempts.
	Out, In, Failed uint64
	// Stood counts the sessions from before that ended, or over which bytes went.
	Stood uint64
	// Sent and Received are the bytes that went over its sessions. Those of
	// Uncounted sessions are unknown and not among them.
	Sent, Received uint64
	Uncounted      uint64
}

// Unknown reports whether nothing is known of the bytes.
func (t *Traffic) Unknown() bool { return t.Uncounted > 0 && t.Sent+t.Received == 0 }

// A Failure is the common key of attempts with the same failure.
type Failure struct {
	Actor
	Proto  whose.Proto
	Remote netip.AddrPort
	End    whose.End
	Errno  uint32
}

// A Load is the traffic of one session.
type Load struct {
	Actor
	PID            uint32
	Proto          whose.Proto
	Direction      whose.Direction
	Local, Remote  netip.AddrPort
	Sent, Received uint64
	// Took is its duration, as far as it was watched.
	Took time.Duration
	// Stood: it stood before. Open: it stands still.
	Stood, Open bool
}

// Events counts events. It is not safe for concurrent use.
type Events struct {
	// NoTraffic: bytes are not counted.
	NoTraffic bool
	// Past: the events are of the past, whose sessions nobody measured at its
	// beginning and its end.
	Past bool

	top       int
	sum       Summary
	processes groups[Actor, Traffic]
	remotes   groups[netip.Addr, Traffic]
	failures  groups[Failure, uint64]
	traffic   traffic
}

// NewEvents returns an empty count. Its summary has lists of at most top
// entries.
func NewEvents(top int) *Events {
	return &Events{
		top:       top,
		processes: newGroups[Actor, Traffic](maxEventGroups),
		remotes:   newGroups[netip.Addr, Traffic](maxEventGroups),
		failures:  newGroups[Failure, uint64](maxEventGroups),
		traffic:   traffic{before: make(map[sessionKey]figures)},
	}
}

// Add counts one event. A session counts for the first of its owners.
func (c *Events) Add(e *whose.Event) {
	if int(e.Kind) < len(c.sum.Counts) {
		c.sum.Counts[e.Kind]++
	}
	switch e.Kind {
	case whose.EventLost:
		c.sum.Gaps.Add(e.Gap())
		return
	case whose.EventStanding:
		c.Stood(e)
		return
	case whose.EventOpen, whose.EventClose, whose.EventFail:
	default:
		return
	}
	by, pid := actorOf(&e.Session)
	if e.Kind == whose.EventClose {
		l := c.loadOf(&e.Session, by, pid)
		l.Took = e.Duration
		if !c.load(l, c.closed(e)) {
			c.sum.Beyond++
		}
		return
	}
	room := c.processes.sum(by).add(e)
	if remote := e.Session.Remote.Addr(); remote.IsValid() && !remote.IsUnspecified() {
		room = c.remotes.sum(remote).add(e) && room
	}
	if e.Kind == whose.EventFail {
		room = c.fail(e, by) && room
	}
	if !room {
		c.sum.Beyond++
	}
}

// actorOf returns the subject of a session's count, and its PID.
func actorOf(s *whose.Session) (by Actor, pid uint32) {
	if len(s.Owners) > 0 {
		return Actor{Comm: s.Owners[0].Comm}, s.Owners[0].PID
	}
	return Actor{Reason: s.Reason}, 0
}

// add counts an event and reports whether t is not nil.
func (t *Traffic) add(e *whose.Event) bool {
	switch {
	case t == nil:
		return false
	case e.Kind == whose.EventFail:
		t.Failed++
	case e.Session.Direction == whose.In:
		t.In++
	default:
		t.Out++
	}
	return true
}

func (c *Events) fail(e *whose.Event, by Actor) bool {
	n := c.failures.sum(Failure{by, e.Session.Proto, e.Session.Remote, e.End, e.Errno})
	if n == nil {
		return false
	}
	*n++
	return true
}

// Summary returns the counts so far. Nothing may be added after it.
func (c *Events) Summary() *Summary {
	c.countOpen()
	sum := c.sum
	sum.NoTraffic = c.NoTraffic
	sum.Processes, sum.MoreProcesses = largest(c.processes.all, c.top, func(a, b Group[Actor, Traffic]) int {
		return cmp.Or(compareTraffic(&a.Sum, &b.Sum), compareActors(a.Key, b.Key))
	})
	sum.Remotes, sum.MoreRemotes = largest(c.remotes.all, c.top, func(a, b Group[netip.Addr, Traffic]) int {
		return cmp.Or(compareTraffic(&a.Sum, &b.Sum), a.Key.Compare(b.Key))
	})
	sum.Failures, sum.MoreFailures = largest(c.failures.all, c.top, func(a, b Group[Failure, uint64]) int {
		x, y := &a.Key, &b.Key
		return cmp.Or(cmp.Compare(b.Sum, a.Sum), x.Remote.Compare(y.Remote), compareActors(x.Actor, y.Actor),
			cmp.Compare(x.End, y.End), cmp.Compare(x.Errno, y.Errno), cmp.Compare(x.Proto, y.Proto))
	})
	return &sum
}

// compareTraffic orders by most sessions, then by most bytes.
func compareTraffic(a, b *Traffic) int {
	return cmp.Or(cmp.Compare(b.sessions(), a.sessions()), cmp.Compare(b.Sent+b.Received, a.Sent+a.Received))
}

func (t *Traffic) sessions() uint64 { return t.Out + t.In + t.Failed + t.Stood }

func compareActors(a, b Actor) int {
	return cmp.Or(cmp.Compare(a.Comm, b.Comm), cmp.Compare(a.Reason, b.Reason))
}
