package render

import (
	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/lots"
)

// Ends is a list of sessions that knows both ends of a connection.
type Ends interface {
	lots.Sessions
	// OtherEnds returns a function for one goroutine. It returns the place of the
	// other end of session i in the list, -1 if it is not there.
	OtherEnds() func(i int) int
}

// Folded is a list of sessions in which a local conversation, one between
// processes of this host, is one row, and so are all that differ in nothing but
// the port of the side that began them. The table shows such a row with the range
// of these ports and the number of conversations.
//
// The row is the session of the side that began it, if both ends are in the list
// and the other one says nothing more: it has owners, and the same state, network
// namespace, device and mark. Otherwise each end is a row.
type Folded struct {
	sessions lots.Sessions
	rows     []foldedRow
}

// A foldedRow is one row of the table: 20 bytes.
type foldedRow struct {
	// at is the place of the session shown. sessions is the number of those that the
	// row stands for, and times of conversations.
	at, sessions, times uint32
	// from and to are the least and the greatest port of the side that began them.
	from, to uint16
	// both: the row has both ends, and neither began it.
	both bool
}

// Fold folds a list. It reads every session once or twice.
func Fold(sessions Ends) *Folded {
	f := folding{
		read: sessions.Reader(), readOther: sessions.Reader(), readFirst: sessions.Reader(),
		other: sessions.OtherEnds(), groups: make(map[uint64]uint32),
		rows: make([]foldedRow, 0, sessions.Len()),
	}
	for i := range sessions.Len() {
		f.add(i)
	}
	return &Folded{sessions, f.rows}
}

// Len returns the number of rows.
func (f *Folded) Len() int { return len(f.rows) }

// Reader returns a function for one goroutine that returns the session shown in
// row i.
func (f *Folded) Reader() func(i int) *whose.Session {
	read := f.sessions.Reader()
	return func(i int) *whose.Session { return read(int(f.rows[i].at)) }
}

// First returns the first n rows, or all if there are fewer.
func (f *Folded) First(n int) *Folded { return &Folded{f.sessions, f.rows[:min(n, len(f.rows))]} }

// Sessions returns the number of sessions that the rows stand for.
func (f *Folded) Sessions() int {
	n := 0
	for i := range f.rows {
		n += int(f.rows[i].sessions)
	}
	return n
}

// A folding is a Folded in the making.
type folding struct {
	read, readOther, readFirst func(int) *whose.Session
	other                      func(int) int
	rows                       []foldedRow
	// groups holds the first row of each kind, by a hash of their common parts.
	groups map[uint64]uint32
}

// add adds the session at place i to its row.
func (f *folding) add(i int) {
	s, other := f.read(i), f.other(i)
	row := foldedRow{at: uint32(i), sessions: 1, times: 1}
	if s.IsListener() || other < 0 && len(s.Peer) == 0 {
		f.rows = append(f.rows, row)
		return
	}
	if other >= 0 && f.other(other) == i {
		if o := f.readOther(other); isOneRow(s, o) {
			row.both = s.Direction == o.Direction
			if s.Direction == whose.In && !row.both || row.both && other < i {
				return // its other end is the row
			}
			row.sessions = 2
		}
	}
	row.from, row.to = beganPort(s), beganPort(s)
	kind := kindOf(s)
	first, known := f.groups[kind]
	if known {
		if r := &f.rows[first]; r.both == row.both && isOneKind(s, f.readFirst(int(r.at))) {
			r.sessions += row.sessions
			r.times++
			r.from, r.to = min(r.from, row.from), max(r.to, row.to)
			return
		}
	} else {
		f.groups[kind] = uint32(len(f.rows))
	}
	f.rows = append(f.rows, row)
}

// isOneRow reports whether the row of s may stand for o, its other end.
func isOneRow(s, o *whose.Session) bool {
	return s.Proto == o.Proto && s.State == o.State && s.NetNS == o.NetNS && s.Mark == o.Mark &&
		s.BoundDev == o.BoundDev && s.Subflow == o.Subflow &&
		s.Reason == whose.ReasonNone && o.Reason == whose.ReasonNone && len(s.Owners) > 0 && len(o.Owners) > 0 &&
		sameOwners(s.Peer, o.Owners) && sameOwners(o.Peer, s.Owners) &&
		unread(s) == 0 && unread(o) == 0 &&
		(s.Direction == o.Direction || s.Direction != 0 && o.Direction != 0)
}

// isOneKind reports whether two sessions differ in nothing that a row shows but
// the port of the side that began them.
func isOneKind(a, b *whose.Session) bool {
	return alike(a, b) && a.Local.Addr() == b.Local.Addr() && a.Remote.Addr() == b.Remote.Addr() &&
		otherPorts(a) == otherPorts(b) && unread(a) == unread(b) &&
		sameOwners(a.Owners, b.Owners) && sameOwners(a.Peer, b.Peer)
}

// beganPort is the port of the side that began a session. Most often the kernel
// chose it.
func beganPort(s *whose.Session) uint16 {
	if s.Direction == whose.In {
		return s.Remote.Port()
	}
	return s.Local.Port()
}

// otherPorts are the ports that sessions in one row have in common, both if nobody
// knows which side began them.
func otherPorts(s *whose.Session) uint32 {
	switch s.Direction {
	case whose.Out:
		return uint32(s.Remote.Port())
	case whose.In:
		return uint32(s.Local.Port())
	}
	return uint32(s.Local.Port())<<16 | uint32(s.Remote.Port())
}

// unread is the number of bytes waiting at a datagram socket, where the table shows
// it.
func unread(s *whose.Session) uint32 {
	if !s.Proto.IsDatagram() || s.Unknown.Has(whose.FactRecvQueue) {
		return 0
	}
	return s.RecvQueue
}

// sameOwners reports whether two lists are the same processes.
func sameOwners(a, b []whose.Owner) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if p, q := a[i].Process, b[i].Process; p != q && (p.PID != q.PID || !p.StartTime.Equal(q.StartTime)) {
			return false
		}
	}
	return true
}

// kindOf is a hash of facts that all sessions of one row have in common. Others
// with the same hash get rows of their own.
func kindOf(s *whose.Session) uint64 {
	local, remote := s.Local.Addr().As16(), s.Remote.Addr().As16()
	h := mix(uint64(s.NetNS)<<32|uint64(otherPorts(s)), uint64(s.State)<<16|uint64(s.Proto)<<8|uint64(s.Direction))
	for _, a := range [...]*[16]byte{&local, &remote} {
		for i := 0; i < len(a); i += 8 {
			var word uint64
			for _, b := range a[i : i+8] {
				word = word<<8 | uint64(b)
			}
			h = mix(h, word)
		}
	}
	for _, owners := range [...][]whose.Owner{s.Owners, s.Peer} {
		h = mix(h, uint64(len(owners)))
		for i := range owners {
			h = mix(h, uint64(owners[i].PID))
		}
	}
	return h
}

func mix(h, word uint64) uint64 {
	h = (h ^ word) * 0x9e3779b97f4a7c15
	return h ^ h>>29
}

// several returns the row if it stands for several sessions, else nil.
func (r *foldedRow) several() *foldedRow {
	if r.sessions > 1 {
		return r
	}
	return nil
}

// rangeCell appends the ports of the side that began the sessions of a row.
func (r *foldedRow) rangeCell(c *cell) {
	c.ascii(":")
	c.uint(uint64(r.from))
	c.ascii("-")
	c.uint(uint64(r.to))
}

// timesCell appends the number of conversations in a row.
func (r *foldedRow) timesCell(c *cell) {
	if r.times > 1 {
		c.ascii("  ")
		c.mark(timesMark)
		c.uint(uint64(r.times))
	}
}
