package tally

import (
	"hash/maphash"
	"iter"
	"sync"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/shrink"
)

// MaxWorkloads bounds the workloads with a name of their own in [Metrics].
const MaxWorkloads = 500

// maxWorkloadShare bounds those of one user who is not root, and three quarters are for
// all users together but root: no user can take the room of others.
const maxWorkloadShare = MaxWorkloads / 4

// MaxKnown bounds the sessions that stand whose bytes are counted as they come. A session
// beyond it is counted by its end alone.
const MaxKnown = 1_000_000

// whyKnown is the place of their losses.
const whyKnown = "the metrics follow no more sessions"

// Metrics count sessions by workload, protocol and direction, for a monitoring system.
// They take every event of a tracker ([Metrics.Add]), and now and then all sessions that
// stand ([Metrics.Look]). Counters count since the first event.
//
// Bytes are exact. Each look adds the difference of a session's own counters to those
// of its last look, and its end adds what came after. A session counts once, however
// many processes share it, for the workload of its first owner. Of a session that stood
// before, the bytes since then count.
//
// The zero value is not ready: call [NewMetrics]. Metrics are safe for concurrent use.
type Metrics struct {
	mu    sync.Mutex
	seed  maphash.Seed
	names map[string]int32 // of workloads, to their numbers
	loads []load
	free  []int32
	used  map[Share]int // workloads by share, and of all shares but root's
	users int
	// madeRoom is the time of the last look for workloads to forget.
	madeRoom time.Time
	cells    map[cellKey]int32
	// series are the figures; their places are used again.
	series    []cell
	freeCells []int32
	sessions  shrink.Map[uint64, known]
	// ended are the sessions that ended during a look, nil without one.
	ended  map[uint64]bool
	look   uint32
	lost   map[string]uint64
	events [1 + whose.EventLost]uint64
	folded uint64
}

// A load is a workload with a name.
type load struct {
	name     string
	share    Share
	sessions int       // that stand
	last     time.Time // of its last event
	cells    []int32
}

type cellKey struct {
	load      int32
	proto     whose.Proto
	direction whose.Direction
}

// noLoad is the number of the workload "other".
const noLoad = int32(0)

// A cell holds the figures of one workload, protocol and direction.
type cell struct {
	cellKey
	states                  [int(whose.Unconn) + 1]int
	listeners, queued       int
	opened                  uint64
	closed, failed          [int(whose.EndError) + 1]uint64
	sent, received, retrans uint64
	rtt, duration, attempt  histogram
}

// known is a session that stands, with what was counted of it.
type known struct {
	cell           int32
	look           uint32 // the last one with it
	retrans        uint32
	sent, received uint64
}

// NewMetrics returns metrics of nothing.
func NewMetrics() *Metrics {
	return &Metrics{
		seed: maphash.MakeSeed(), names: map[string]int32{otherWorkload: noLoad}, loads: []load{{name: otherWorkload}},
		used: make(map[Share]int), cells: make(map[cellKey]int32), lost: make(map[string]uint64),
	}
}

// key is a hash of the identity of a session: a map of identities is three times larger.
func (m *Metrics) key(s *whose.Session) uint64 { return maphash.Comparable(m.seed, keyOf(s)) }

// Add counts one event.
func (m *Metrics) Add(e *whose.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if int(e.Kind) < len(m.events) {
		m.events[e.Kind]++
	}
	s := &e.Session
	switch e.Kind {
	case whose.EventLost:
		m.lost[e.Why] += e.Lost
	case whose.EventStanding:
		if _, met := m.sessions.Get(m.key(s)); !met {
			m.begin(s, e.Time)
		}
	case whose.EventOpen:
		at := m.cellOf(s, e.Time)
		m.series[at].opened++
		m.fold(at)
		m.enter(m.key(s), at)
	case whose.EventOwned:
		if _, met := m.sessions.Get(m.key(s)); met {
			m.enter(m.key(s), m.cellOf(s, e.Time))
		}
	case whose.EventClose:
		m.end(e)
	case whose.EventFail:
		at := m.cellOf(s, e.Time)
		m.fold(at)
		c := &m.series[at]
		c.failed[endIndex(e.End)]++
		c.attempt.add(durationBounds[:], e.Duration.Seconds())
	}
}

// begin takes a session that stood before: its bytes until now are not counted.
func (m *Metrics) begin(s *whose.Session, at time.Time) {
	if s.IsListener() {
		return
	}
	key := m.key(s)
	m.enter(key, m.cellOf(s, at))
	k, met := m.sessions.Get(key)
	switch {
	case !met:
		return // there was no room
	case s.Proto.IsDatagram(): // the tracker counts its datagrams itself
	case s.TCP != nil:
		k.sent, k.received, k.retrans = s.TCP.BytesSent, s.TCP.BytesReceived, s.TCP.Retrans
	case s.Life != nil:
		k.sent, k.received = s.Life.Sent.Bytes, s.Life.Received.Bytes
	}
	m.sessions.Set(key, k)
}

// enter notes that a session stands, and whose it is. What was counted of it stays.
func (m *Metrics) enter(key uint64, at int32) {
	k, met := m.sessions.Get(key)
	if met && k.cell == at {
		return
	}
	if met {
		m.leave(k.cell)
	} else if m.sessions.Len() >= MaxKnown {
		m.lost[whyKnown]++
		return
	}
	k.cell, k.look = at, m.look
	m.sessions.Set(key, k)
	m.loads[m.series[at].load].sessions++
}

// fold counts a session of the workload "other".
func (m *Metrics) fold(at int32) {
	if m.series[at].load == noLoad {
		m.folded++
	}
}

// leave notes that a session of a cell stands no longer.
func (m *Metrics) leave(at int32) { m.loads[m.series[at].load].sessions-- }

func (m *Metrics) end(e *whose.Event) {
	key := m.key(&e.Session)
	if m.ended != nil {
		m.ended[key] = true
	}
	k, met := m.sessions.Get(key)
	if !met {
		k.cell = m.cellOf(&e.Session, e.Time)
	} else {
		m.sessions.Delete(key)
		defer m.leave(k.cell)
	}
	c := &m.series[k.cell]
	c.closed[endIndex(e.End)]++
	c.duration.add(durationBounds[:], e.Duration.Seconds())
	if e.Session.TCP != nil && e.Session.TCP.RTT > 0 {
		c.rtt.add(rttBounds[:], e.Session.TCP.RTT.Seconds())
	}
	if !e.Counted || !met && e.StoodBefore && !e.Session.Proto.IsDatagram() { // its bytes of before are not known
		return
	}
	retrans := uint32(0)
	if e.Session.TCP != nil {
		retrans = e.Session.TCP.Retrans
	}
	k.count(c, e.Sent.Bytes, e.Received.Bytes, retrans)
}

// count adds what came since the last count.
func (k *known) count(c *cell, sent, received uint64, retrans uint32) {
	c.sent += sent - min(k.sent, sent)
	c.received += received - min(k.received, received)
	c.retrans += uint64(retrans - min(k.retrans, retrans))
	k.sent, k.received, k.retrans = max(k.sent, sent), max(k.received, received), max(k.retrans, retrans)
}

// forgetAfter is the number of looks without a session after which it is forgotten: its
// end was lost.
const forgetAfter = 8

// Look takes all sessions that stand, as read returns them, with their traffic. It makes
// the gauges new. Events may come while read works, so a session that ends meanwhile is
// counted by its end alone. Only one Look may run at a time.
func (m *Metrics) Look(read func() iter.Seq[*whose.Session], now time.Time) {
	m.mu.Lock()
	m.ended = make(map[uint64]bool)
	m.mu.Unlock()
	sessions := read()
	m.mu.Lock()
	defer m.mu.Unlock()
	defer func() { m.ended = nil }()
	m.look++
	for i := range m.series {
		c := &m.series[i]
		c.states, c.listeners, c.queued = [int(whose.Unconn) + 1]int{}, 0, 0
	}
	for s := range sessions {
		m.see(s, now)
	}
	for key, k := range m.sessions.All() {
		if m.look-k.look > forgetAfter {
			m.leave(k.cell)
			m.sessions.Delete(key)
		}
	}
}

func (m *Metrics) see(s *whose.Session, now time.Time) {
	if s.IsListener() {
		c := &m.series[m.cellOf(s, now)]
		c.states[stateIndex(s.State)]++
		if s.State == whose.Listen {
			c.listeners++
			if !s.Unknown.Has(whose.FactRecvQueue) {
				c.queued += int(s.RecvQueue)
			}
		}
		return
	}
	key := m.key(s)
	if m.ended[key] {
		return
	}
	k, met := m.sessions.Get(key)
	if !met { // its event is under way, or was lost
		if s.Life != nil && s.Life.StoodBefore {
			m.begin(s, now)
		} else {
			m.enter(key, m.cellOf(s, now))
		}
		if k, met = m.sessions.Get(key); !met {
			return
		}
	}
	c := &m.series[k.cell]
	c.states[stateIndex(s.State)]++
	k.look = m.look
	if s.Life != nil && s.Life.Counted {
		retrans := k.retrans
		if s.TCP != nil {
			retrans = s.TCP.Retrans
		}
		k.count(c, s.Life.Sent.Bytes, s.Life.Received.Bytes, retrans)
	}
	m.sessions.Set(key, k)
}

func endIndex(e whose.End) int {
	if int(e) > int(whose.EndError) {
		return int(whose.EndError)
	}
	return int(e)
}

func stateIndex(s whose.State) int { return min(int(s), int(whose.Unconn)) }

// cellOf returns the place of the figures of a session.
func (m *Metrics) cellOf(s *whose.Session, now time.Time) int32 {
	k := cellKey{m.loadOf(s, now), s.Proto, s.Direction}
	at, met := m.cells[k]
	if met {
		return at
	}
	if n := len(m.freeCells); n > 0 {
		at, m.freeCells = m.freeCells[n-1], m.freeCells[:n-1]
	} else {
		at = int32(len(m.series))
		m.series = append(m.series, cell{})
	}
	m.series[at] = cell{cellKey: k}
	m.cells[k] = at
	m.loads[k.load].cells = append(m.loads[k.load].cells, at)
	return at
}

// loadOf returns the number of a session's workload.
func (m *Metrics) loadOf(s *whose.Session, now time.Time) int32 {
	name := Workload(s)
	if n, met := m.names[name]; met {
		m.loads[n].last = now
		return n
	}
	share := unknownShare
	if len(s.Owners) > 0 {
		share = shareOfOwner(&s.Owners[0], s)
	}
	if !m.room(share) {
		m.makeRoom(now)
		if !m.room(share) {
			return noLoad
		}
	}
	l := load{name: name, share: share, last: now}
	var n int32
	if f := len(m.free); f > 0 {
		n, m.free = m.free[f-1], m.free[:f-1]
		m.loads[n] = l
	} else {
		n = int32(len(m.loads))
		m.loads = append(m.loads, l)
	}
	m.names[name] = n
	m.used[share]++
	if !share.Root() {
		m.users++
	}
	return n
}

// room reports whether there is room for another workload of a share.
func (m *Metrics) room(share Share) bool {
	switch {
	case len(m.names) > MaxWorkloads: // "other" is one of them
		return false
	case share.Root():
		return true
	case share.System():
		return m.users < MaxWorkloads
	}
	return m.used[share] < maxWorkloadShare && m.users < MaxWorkloads/4*3
}

// idleAfter is the time after which a workload without sessions gives its name up, when
// room is needed.
const idleAfter = time.Hour

// makeRoom forgets the workloads without sessions and without events for long.
func (m *Metrics) makeRoom(now time.Time) {
	if now.Sub(m.madeRoom).Abs() < idleAfter/60 {
		return
	}
	m.madeRoom = now
	for name, n := range m.names {
		l := &m.loads[n]
		if n == noLoad || l.sessions > 0 || now.Sub(l.last) < idleAfter {
			continue
		}
		for _, at := range l.cells {
			delete(m.cells, m.series[at].cellKey)
			m.series[at] = cell{}
			m.freeCells = append(m.freeCells, at)
		}
		if m.used[l.share]--; m.used[l.share] == 0 {
			delete(m.used, l.share)
		}
		if !l.share.Root() {
			m.users--
		}
		*l = load{}
		delete(m.names, name)
		m.free = append(m.free, n)
	}
}
