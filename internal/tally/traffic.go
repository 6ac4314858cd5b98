package tally

import (
	"net/netip"
	"slices"
	"time"

	"github.com/seed-44df2ae6/whose"
)

// This file counts the bytes that went over sessions since the beginning of a
// watch. The kernel counts those of a TCP session since it opened, so the figures of
// the beginning are subtracted. Datagrams are counted by the watch itself.

// A sessionKey is the identity of a session: its cookie, with the remote end where
// several sessions share one, or else its ends.
type sessionKey struct {
	cookie        uint64
	netns         uint32
	proto         whose.Proto
	local, remote netip.AddrPort
}

func keyOf(s *whose.Session) sessionKey {
	switch {
	case s.Cookie == 0:
		return sessionKey{netns: s.NetNS, proto: s.Proto, local: s.Local, remote: s.Remote}
	case sharesCookie(s):
		return sessionKey{cookie: s.Cookie, remote: s.Remote}
	}
	return sessionKey{cookie: s.Cookie}
}

// sharesCookie reports whether other sessions may have the cookie: flows of a socket,
// and MPTCP.
func sharesCookie(s *whose.Session) bool { return s.Proto.IsDatagram() || s.Proto == whose.MPTCP }

// figures are the bytes of a session each way.
type figures struct {
	sent, received uint64
	// known: somebody counted them. stood: the session is from before.
	known, stood bool
}

// traffic holds what is needed to know the bytes since the beginning.
type traffic struct {
	// before are the figures at the beginning of the sessions from before.
	before map[sessionKey]figures
	// open are the sessions that stand at the end, and places theirs in open.
	open   []openSession
	places map[sessionKey]int
	// measured is the time of their figures.
	measured time.Time
}

// An openSession stands at the end.
type openSession struct {
	Load
	figures
	over bool // it has closed since
}

// Stood notes a session that stands at the beginning, with its figures so far. It
// counts nothing.
func (c *Events) Stood(e *whose.Event) {
	s := &e.Session
	if c.NoTraffic || !s.HasRemote() {
		return
	}
	f := figures{stood: true}
	switch {
	case c.Past:
	case s.Proto.IsDatagram():
		f.known = true
	case s.TCP != nil && !s.TCP.OnlyTimer:
		f.sent, f.received, f.known = s.TCP.BytesSent, s.TCP.BytesReceived, true
	}
	c.traffic.before[keyOf(s)] = f
}

// since returns the bytes since the beginning of a session with these figures.
func (c *Events) since(key sessionKey, l *whose.Lifetime, datagrams bool) figures {
	f := figures{sent: l.Sent.Bytes, received: l.Received.Bytes, known: l.Counted}
	before, stood := c.traffic.before[key]
	switch {
	case stood:
		f.stood, f.known = true, f.known && before.known && f.sent >= before.sent && f.received >= before.received
		f.sent -= before.sent
		f.received -= before.received
	case l.StoodBefore:
		f.known, f.stood = f.known && datagrams && !c.Past, true
	}
	if !f.known {
		f.sent, f.received = 0, 0
	}
	return f
}

// closed returns the bytes of a session that closes.
func (c *Events) closed(e *whose.Event) figures {
	key := keyOf(&e.Session)
	f := c.since(key, &e.Lifetime, e.Session.Proto.IsDatagram())
	delete(c.traffic.before, key)
	if at, met := c.traffic.places[key]; met && (!sharesCookie(&e.Session) || e.Time.After(c.traffic.measured)) {
		c.traffic.open[at].over = true
	}
	return f
}

// Measured notes a session that stands at the end, with the figures of its Life.
// began is the time when the measurement began. Events that happened until the end
// may still be added: a session that closed since counts by its close.
func (c *Events) Measured(s *whose.Session, began time.Time) {
	if c.NoTraffic || !s.HasRemote() || s.Life == nil {
		return
	}
	t, key := &c.traffic, keyOf(s)
	if _, twice := t.places[key]; twice {
		return
	}
	if t.places == nil {
		t.places = make(map[sessionKey]int)
	}
	by, pid := actorOf(s)
	o := openSession{Load: c.loadOf(s, by, pid), figures: c.since(key, s.Life, s.Proto.IsDatagram())}
	if c.Past {
		o.figures = figures{stood: o.stood}
	}
	o.Took, o.Open = s.Life.Duration, true
	t.places[key], t.measured = len(t.open), began
	t.open = append(t.open, o)
}

// countOpen counts the sessions that stand at the end. One from before over which
// nothing went is in no list.
func (c *Events) countOpen() {
	for i := range c.traffic.open {
		o := &c.traffic.open[i]
		switch {
		case o.over || o.stood && o.known && o.sent+o.received == 0:
		case o.stood && !o.known:
			c.sum.Uncounted++
			c.noteUncounted(&o.Load)
		case !c.load(o.Load, o.figures):
			c.sum.Beyond++
		}
	}
	c.traffic = traffic{before: c.traffic.before}
}

// noteUncounted notes in the groups that exist that bytes of one of their sessions are
// unknown.
func (c *Events) noteUncounted(l *Load) {
	if at, met := c.processes.places[l.Actor]; met {
		c.processes.all[at].Sum.Uncounted++
	}
	if at, met := c.remotes.places[l.Remote.Addr()]; met {
		c.remotes.all[at].Sum.Uncounted++
	}
}

// loadOf describes a session without its bytes.
func (c *Events) loadOf(s *whose.Session, by Actor, pid uint32) Load {
	return Load{Actor: by, PID: pid, Proto: s.Proto, Direction: s.Direction, Local: s.Local, Remote: s.Remote}
}

// load counts the bytes of a session, and reports whether there was room.
func (c *Events) load(l Load, f figures) bool {
	l.Sent, l.Received, l.Stood = f.sent, f.received, f.stood
	if !f.known {
		c.sum.Uncounted++
	}
	room := c.processes.sum(l.Actor).carry(f)
	if remote := l.Remote.Addr(); remote.IsValid() && !remote.IsUnspecified() {
		room = c.remotes.sum(remote).carry(f) && room
	}
	c.rank(l)
	return room
}

// carry adds the bytes of a session and reports whether t is not nil.
func (t *Traffic) carry(f figures) bool {
	if t == nil {
		return false
	}
	t.Sent += f.sent
	t.Received += f.received
	if f.stood {
		t.Stood++
	}
	if !f.known {
		t.Uncounted++
	}
	return true
}

// rank keeps the session if it is one of the busiest so far.
func (c *Events) rank(l Load) {
	list := c.sum.Busiest
	if l.Sent+l.Received == 0 || len(list) == c.top && !busier(&l, &list[len(list)-1]) {
		return
	}
	at, _ := slices.BinarySearchFunc(list, l, func(a, b Load) int {
		if busier(&b, &a) {
			return 1
		}
		return -1
	})
	if len(list) == c.top {
		list = list[:len(list)-1]
	}
	c.sum.Busiest = slices.Insert(list, at, l)
}

func busier(a, b *Load) bool { return a.Sent+a.Received > b.Sent+b.Received }
