package tally

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/seed-44df2ae6/whose"
)

// A Count is how many sessions, or events, there are of each kind.
type Count struct {
	// By are the fields that the groups were made by.
	By []*whose.Field
	// Rows are the groups, the largest first, then by their values.
	Rows []Row
	// Total is the number of sessions. It counts each session once, also those
	// that are in several groups and those whose groups Rows leaves out.
	Total int
}

// A Row is one group of sessions.
type Row struct {
	// Values are the group's values, one for each field it was made by; the
	// zero value for sessions that have none.
	Values []whose.Value
	// Count is how many sessions are in the group.
	Count int
}

// A Counter counts sessions, or events, by the values of some fields. It allocates for a
// new group, not for a session. It is not safe for concurrent use.
type Counter struct {
	by     []*whose.Field
	groups groups[string, Row]
	total  int
	free   []whose.Value // memory for those of new groups

	row []whose.Value // the values of one group of one session
	key []byte
}

// NewCounter returns an empty counter. It keeps by.
func NewCounter(by []*whose.Field) *Counter {
	return &Counter{by: by, groups: newGroups[string, Row](0), row: make([]whose.Value, len(by))}
}

// Add counts one session or one event. A session with several owners counts once
// for each that differs in the values asked for: eight workers of one nginx count
// it once by comm and eight times by pid. Add keeps nothing of r but its strings.
func (c *Counter) Add(r whose.Row) {
	c.total++
	var owners, peers bool
	for i, f := range c.by {
		switch {
		case !f.PerOwner():
			c.row[i] = f.Value(r)
		case f.Of == whose.OfPeer:
			peers = true
		default:
			owners = true
		}
	}
	each(owners, r.Session.Owners, func(owner *whose.Owner) {
		c.fill(whose.OfOwner, owner)
		each(peers, r.Session.Peer, func(peer *whose.Owner) {
			c.fill(whose.OfPeer, peer)
			c.count()
		})
	})
}

// each calls do with each owner, or once with none where owners do not matter
// or there are none.
func each(matter bool, owners []whose.Owner, do func(*whose.Owner)) {
	if !matter || len(owners) == 0 {
		do(nil)
		return
	}
	for i := range owners {
		do(&owners[i])
	}
}

// fill sets the values that are facts of an owner; those of no owner are none.
func (c *Counter) fill(of whose.Group, owner *whose.Owner) {
	for i, f := range c.by {
		if !f.PerOwner() || (f.Of == whose.OfPeer) != (of == whose.OfPeer) {
			continue
		}
		c.row[i] = whose.Value{}
		if owner != nil {
			c.row[i] = f.OwnerValue(owner)
		}
	}
}

// count counts the row.
func (c *Counter) count() {
	c.key = c.key[:0]
	for i := range c.row {
		c.key = appendKey(c.key, &c.row[i])
	}
	at, known := c.groups.places[string(c.key)] // without a string for what is known
	if !known {
		at = c.groups.add(string(c.key))
		c.groups.all[at].Sum.Values = c.keep(c.row)
	}
	if r := c.groups.once(at, c.total); r != nil {
		r.Count++
	}
}

// keep copies the values of a new group.
func (c *Counter) keep(row []whose.Value) []whose.Value {
	const atOnce = 64 // groups
	n := len(row)
	if len(c.free) < n {
		c.free = make([]whose.Value, atOnce*n)
	}
	kept := c.free[:n:n]
	c.free = c.free[n:]
	copy(kept, row)
	return kept
}

// appendKey appends a value so that no two rows of values read the same.
func appendKey(key []byte, v *whose.Value) []byte {
	key = append(key, byte(v.Kind), 0, 0, 0, 0)
	at := len(key)
	key = v.Append(key)
	binary.BigEndian.PutUint32(key[at-4:], uint32(len(key)-at))
	return key
}

// Count returns the top largest groups, 0 for all.
func (c *Counter) Count(top int) *Count {
	rows := make([]Row, len(c.groups.all))
	for i := range rows {
		rows[i] = c.groups.all[i].Sum
	}
	rows, _ = largest(rows, top, func(a, b Row) int {
		if n := cmp.Compare(b.Count, a.Count); n != 0 {
			return n
		}
		return slices.CompareFunc(a.Values, b.Values, func(x, y whose.Value) int { return x.Compare(&y) })
	})
	return &Count{By: c.by, Rows: rows, Total: c.total}
}
