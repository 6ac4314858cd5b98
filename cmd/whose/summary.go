package main

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/render"
)

const (
	// maxSummed is how many processes, remotes and failures are remembered each.
	maxSummed = 10_000
	// maxTop is how many lines a list may have.
	maxTop = 1000
)

// A summing counts events for --summary. Its memory is bounded: what finds no
// place in a list is counted as beyond it.
type summing struct {
	top       int
	began     time.Time
	sum       render.EventSummary
	processes map[doer]*render.EventTally
	remotes   map[netip.Addr]*render.EventTally
	failures  map[failure]uint64
}

// A doer is whom a session is counted for: a process by its name, or the reason
// why there is none.
type doer struct {
	comm   string
	reason whose.Reason
}

// A failure is what attempts have in common that failed alike.
type failure struct {
	by     doer
	proto  whose.Proto
	remote netip.AddrPort
	end    whose.End
	errno  uint32
}

func newSumming(top int) *summing {
	return &summing{
		top: top, began: time.Now(),
		processes: make(map[doer]*render.EventTally),
		remotes:   make(map[netip.Addr]*render.EventTally),
		failures:  make(map[failure]uint64),
	}
}

// add counts one event.
func (s *summing) add(e *whose.Event) {
	if int(e.Kind) < len(s.sum.Counts) {
		s.sum.Counts[e.Kind]++
	}
	switch e.Kind {
	case whose.EventLost:
		s.sum.Lost += e.Lost
		return
	case whose.EventOpen, whose.EventClose, whose.EventFail:
	default:
		return
	}
	by, pid := firstOwner(&e.Session)
	room := count(tallyOf(s.processes, by), e)
	if remote := e.Session.Remote.Addr(); remote.IsValid() && !remote.IsUnspecified() {
		room = count(tallyOf(s.remotes, remote), e) && room
	}
	if e.Kind == whose.EventFail {
		room = s.fail(e, by) && room
	}
	if e.Kind == whose.EventClose {
		s.load(e, by, pid)
	}
	if !room {
		s.sum.Beyond++
	}
}

// firstOwner is whom a session is counted for, the first of its owners, and the
// number of that.
func firstOwner(s *whose.Session) (by doer, pid uint32) {
	if len(s.Owners) > 0 {
		return doer{comm: s.Owners[0].Comm}, s.Owners[0].PID
	}
	return doer{reason: s.Reason}, 0
}

// tallyOf returns the tally of a key, nil where there is no room for another.
func tallyOf[K comparable](all map[K]*render.EventTally, key K) *render.EventTally {
	t := all[key]
	if t == nil && len(all) < maxSummed {
		t = &render.EventTally{}
		all[key] = t
	}
	return t
}

// count adds an event to a tally, if there is one.
func count(t *render.EventTally, e *whose.Event) bool {
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

func (s *summing) fail(e *whose.Event, by doer) bool {
	key := failure{by, e.Session.Proto, e.Session.Remote, e.End, e.Errno}
	if _, known := s.failures[key]; !known && len(s.failures) >= maxSummed {
		return false
	}
	s.failures[key]++
	return true
}

// load keeps the session if it is one of the busiest until now.
func (s *summing) load(e *whose.Event, by doer, pid uint32) {
	l := render.EventLoad{
		Comm: by.comm, Reason: by.reason, PID: pid, Proto: e.Session.Proto, Direction: e.Session.Direction,
		Local: e.Session.Local, Remote: e.Session.Remote,
		Sent: e.Sent.Bytes, Received: e.Received.Bytes, Took: e.Duration,
	}
	list := s.sum.Busiest
	if l.Sent+l.Received == 0 || len(list) == s.top && !busier(l, list[len(list)-1]) {
		return
	}
	at, _ := slices.BinarySearchFunc(list, l, func(a, b render.EventLoad) int {
		if busier(b, a) {
			return 1
		}
		return -1
	})
	if len(list) == s.top {
		list = list[:len(list)-1]
	}
	s.sum.Busiest = slices.Insert(list, at, l)
}

func busier(a, b render.EventLoad) bool { return a.Sent+a.Received > b.Sent+b.Received }

// summary returns what was counted until now, the most of it first.
func (s *summing) summary() *render.EventSummary {
	sum := s.sum
	sum.Took = time.Since(s.began)
	for by, t := range s.processes {
		t.Comm, t.Reason = by.comm, by.reason
		sum.Processes = append(sum.Processes, *t)
	}
	for remote, t := range s.remotes {
		t.Remote = remote
		sum.Remotes = append(sum.Remotes, *t)
	}
	for f, n := range s.failures {
		sum.Failures = append(sum.Failures, render.EventFailure{
			Comm: f.by.comm, Reason: f.by.reason, Proto: f.proto, Remote: f.remote, End: f.end, Errno: f.errno, Count: n})
	}
	slices.SortFunc(sum.Failures, func(a, b render.EventFailure) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), a.Remote.Compare(b.Remote), cmp.Compare(a.Comm, b.Comm), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.End, b.End), cmp.Compare(a.Errno, b.Errno))
	})
	sum.Processes, sum.MoreProcesses = firstTallies(sum.Processes, s.top)
	sum.Remotes, sum.MoreRemotes = firstTallies(sum.Remotes, s.top)
	if n := len(sum.Failures); n > s.top {
		sum.Failures, sum.MoreFailures = sum.Failures[:s.top], n-s.top
	}
	return &sum
}

// firstTallies sorts and cuts a list, and returns how many were cut.
func firstTallies(list []render.EventTally, top int) ([]render.EventTally, int) {
	slices.SortFunc(list, func(a, b render.EventTally) int {
		return cmp.Or(cmp.Compare(b.Out+b.In+b.Failed, a.Out+a.In+a.Failed), cmp.Compare(b.Sent+b.Received, a.Sent+a.Received),
			cmp.Compare(a.Comm, b.Comm), cmp.Compare(a.Reason, b.Reason), a.Remote.Compare(b.Remote))
	})
	if len(list) > top {
		return list[:top], len(list) - top
	}
	return list, 0
}
