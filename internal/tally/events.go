package tally

import (
	"cmp"
	"net/netip"
	"slices"
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
	// and the bytes of the ended ones.
	Processes []Group[Actor, Traffic]
	Remotes   []Group[netip.Addr, Traffic]
	// Failures counts the failed attempts by failure.
	Failures []Group[Failure, uint64]
	// Busiest are the ended sessions with the most bytes.
	Busiest []Load
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
	// Sent and Received are the bytes of ended sessions.
	Sent, Received uint64
}

// A Failure is the common key of attempts with the same failure.
type Failure struct {
	Actor
	Proto  whose.Proto
	Remote netip.AddrPort
	End    whose.End
	Errno  uint32
}

// A Load is one ended session.
type Load struct {
	Actor
	PID            uint32
	Proto          whose.Proto
	Direction      whose.Direction
	Local, Remote  netip.AddrPort
	Sent, Received uint64
	Took           time.Duration
}

// Events counts events. It is not safe for concurrent use.
type Events struct {
	top       int
	sum       Summary
	processes groups[Actor, Traffic]
	remotes   groups[netip.Addr, Traffic]
	failures  groups[Failure, uint64]
}

// NewEvents returns an empty count. Its summary has lists of at most top
// entries.
func NewEvents(top int) *Events {
	return &Events{
		top:       top,
		processes: newGroups[Actor, Traffic](maxEventGroups),
		remotes:   newGroups[netip.Addr, Traffic](maxEventGroups),
		failures:  newGroups[Failure, uint64](maxEventGroups),
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
	case whose.EventOpen, whose.EventClose, whose.EventFail:
	default:
		return
	}
	by, pid := actorOf(&e.Session)
	room := c.processes.sum(by).add(e)
	if remote := e.Session.Remote.Addr(); remote.IsValid() && !remote.IsUnspecified() {
		room = c.remotes.sum(remote).add(e) && room
	}
	switch e.Kind {
	case whose.EventFail:
		room = c.fail(e, by) && room
	case whose.EventClose:
		c.load(e, by, pid)
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
	case e.Kind == whose.EventClose:
		t.Sent += e.Sent.Bytes
		t.Received += e.Received.Bytes
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

// load keeps the session if it is one of the busiest so far.
func (c *Events) load(e *whose.Event, by Actor, pid uint32) {
	l := Load{
		Actor: by, PID: pid, Proto: e.Session.Proto, Direction: e.Session.Direction,
		Local: e.Session.Local, Remote: e.Session.Remote,
		Sent: e.Sent.Bytes, Received: e.Received.Bytes, Took: e.Duration,
	}
	list := c.sum.Busiest
	if l.Sent+l.Received == 0 || len(list) == c.top && !busier(l, list[len(list)-1]) {
		return
	}
	at, _ := slices.BinarySearchFunc(list, l, func(a, b Load) int {
		if busier(b, a) {
			return 1
		}
		return -1
	})
	if len(list) == c.top {
		list = list[:len(list)-1]
	}
	c.sum.Busiest = slices.Insert(list, at, l)
}

func busier(a, b Load) bool { return a.Sent+a.Received > b.Sent+b.Received }

// Summary returns the counts so far. Nothing may be added after it.
func (c *Events) Summary() *Summary {
	sum := c.sum
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
	return cmp.Or(cmp.Compare(b.Out+b.In+b.Failed, a.Out+a.In+a.Failed), cmp.Compare(b.Sent+b.Received, a.Sent+a.Received))
}

func compareActors(a, b Actor) int {
	return cmp.Or(cmp.Compare(a.Comm, b.Comm), cmp.Compare(a.Reason, b.Reason))
}
