package tally

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/seed-44df2ae6/whose"
)

// maxEventGroups bounds the processes, the remote addresses and the failures
// that [Events] remembers, each.
const maxEventGroups = 10_000

// A Summary is what happened while a host was watched, the most important of
// each list first.
type Summary struct {
	// Took is how long it was watched, and Source the way by which it was
	// followed. Both are the caller's to set; empty is left out.
	Took   time.Duration
	Source string
	// Counts holds the events by kind.
	Counts [1 + whose.EventLost]uint64
	// Gaps say what was not seen: events that were lost, and what else the
	// caller knows of.
	Gaps whose.Gaps
	// Processes and Remotes say who opened how many sessions, and how many bytes
	// went over those that ended.
	Processes []Group[Actor, Traffic]
	Remotes   []Group[netip.Addr, Traffic]
	// Failures counts the attempts that failed alike.
	Failures []Group[Failure, uint64]
	// Busiest are the sessions with the most bytes of those that ended.
	Busiest []Load
	// MoreProcesses, MoreRemotes and MoreFailures count what the lists leave out.
	MoreProcesses, MoreRemotes, MoreFailures int
	// Beyond counts the events that are missing from a list, since there was no
	// room for another process, remote address or failure.
	Beyond uint64
}

// An Actor is whom a session is counted for: a process by its name, or the
// reason why there is none.
type Actor struct {
	Comm   string
	Reason whose.Reason
}

// Traffic counts the sessions of one actor or one remote address.
type Traffic struct {
	// Out, In and Failed count sessions opened either way, and attempts that failed.
	Out, In, Failed uint64
	// Sent and Received are the bytes of sessions that ended.
	Sent, Received uint64
}

// A Failure is what attempts have in common that failed alike.
type Failure struct {
	Actor
	Proto  whose.Proto
	Remote netip.AddrPort
	End    whose.End
	Errno  uint32
}

// A Load is one session that ended.
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

// NewEvents returns an empty count whose summary has lists of at most top entries.
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

// actorOf is whom a session is counted for, and the PID of that.
func actorOf(s *whose.Session) (by Actor, pid uint32) {
	if len(s.Owners) > 0 {
		return Actor{Comm: s.Owners[0].Comm}, s.Owners[0].PID
	}
	return Actor{Reason: s.Reason}, 0
}

// add counts an event and reports whether there is a t to count it in.
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

// load keeps the session if it is one of the busiest until now.
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

// Summary returns what was counted until now. Nothing may be added after it.
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

// compareTraffic puts first who has most sessions, then who has most bytes.
func compareTraffic(a, b *Traffic) int {
	return cmp.Or(cmp.Compare(b.Out+b.In+b.Failed, a.Out+a.In+a.Failed), cmp.Compare(b.Sent+b.Received, a.Sent+a.Received))
}

func compareActors(a, b Actor) int {
	return cmp.Or(cmp.Compare(a.Comm, b.Comm), cmp.Compare(a.Reason, b.Reason))
}
