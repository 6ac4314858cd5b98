package agent

import (
	"cmp"
	"context"
	"net/netip"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/history"
)

// A Chooser takes the events of a question out of a stream: one after those that
// stood, or that a history had, repeats none of them. It is for one goroutine.
type Chooser struct {
	question *Question
	kinds    whose.Set[whose.EventKind]
	veil     *veil
	match    *filter.Matcher
	// known are the events of a moment ago, until is the end of the time in which they
	// may come again.
	known map[eventID]bool
	// stood are the sessions of the beginning, at standAt.
	stood   map[sessionID]bool
	standAt time.Time
	until   time.Time
}

// A sessionID is the identity of a session in a stream: its socket and, since flows of
// UDP share one, its remote end.
type sessionID struct {
	cookie uint64
	netns  uint32
	remote netip.AddrPort
	local  netip.AddrPort
}

func idOf(s *whose.Session) sessionID { return sessionID{s.Cookie, s.NetNS, s.Remote, s.Local} }

// An eventID is the identity of an event.
type eventID struct {
	session sessionID
	kind    whose.EventKind
	micros  int64
}

// late is how long after its time an event may come: connections that nobody accepts
// wait the longest.
const late = 2 * time.Second

// NewChooser returns the chooser of a question. Zero kinds are all. Losses are always
// chosen.
func NewChooser(q *Question, kinds whose.Set[whose.EventKind]) *Chooser {
	c := &Chooser{
		question: q, kinds: cmp.Or(kinds, whose.SetOf(whose.EventKinds()...)), veil: newVeil(q.Viewer),
		known: make(map[eventID]bool), stood: make(map[sessionID]bool),
	}
	env := q.env()
	env.Clock = time.Now
	c.match = filter.Compile(q.Filter, env)
	return c
}

// Stands notes a session that stands at the beginning.
func (c *Chooser) Stands(e *whose.Event) {
	c.stood[idOf(&e.Session)], c.standAt, c.until = true, e.Time, e.Time.Add(late)
}

// Happened notes an event of the past before the stream goes on.
func (c *Chooser) Happened(e *whose.Event) {
	if e.Time.Before(time.Now().Add(-late)) {
		return
	}
	c.known[eventID{idOf(&e.Session), e.Kind, e.Time.UnixMicro()}] = true
	c.until = time.Now().Add(late)
}

// Wants reports whether the event is one of the question. Behind a veil it hides what
// the viewer may not see of it.
func (c *Chooser) Wants(e *whose.Event) bool {
	if e.Seq != 0 && c.repeats(e) {
		return false
	}
	if e.Kind == whose.EventLost {
		return true
	}
	return c.kinds.Has(e.Kind) && c.question.wants(&e.Session, whose.AllStates) && c.veil.cover(&e.Session) && c.match.MatchEvent(e)
}

// repeats reports whether the beginning of the stream had the event.
func (c *Chooser) repeats(e *whose.Event) bool {
	if c.until.IsZero() {
		return false
	}
	if e.Time.After(c.until) { // nothing comes again after it
		clear(c.known)
		clear(c.stood)
		c.until = time.Time{}
		return false
	}
	id := idOf(&e.Session)
	if c.known[eventID{id, e.Kind, e.Time.UnixMicro()}] {
		return true
	}
	if c.standAt.IsZero() || e.Time.After(c.standAt) {
		return false
	}
	switch e.Kind {
	case whose.EventOpen, whose.EventListen, whose.EventBind, whose.EventOwned:
		return c.stood[id]
	case whose.EventClose, whose.EventUnlisten:
		return !c.stood[id] // it was over before the beginning
	}
	return false
}

// Gaps are the things hidden from the viewer so far.
func (c *Chooser) Gaps() whose.Gaps { return c.veil.gaps() }

// ThenEvents calls fn with each event of a past that may be one of the question; a
// [Chooser] decides.
func ThenEvents(
	ctx context.Context, past history.Source, q *Question, kinds whose.Set[whose.EventKind], from, to time.Time, fn func(*whose.Event) bool,
) (whose.Coverage, error) {
	about := q.about(from, to)
	about.Kinds = kinds
	return past.Events(ctx, &about, fn)
}
