package tally

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/seed-44df2ae6/whose"
)

// A Count holds the number of sessions, or events, of each kind.
type Count struct {
	// By are the fields behind the groups.
	By []*whose.Field
	// Rows are the groups, the largest first, then by their values.
	Rows []Row
	// Sum are the fields whose values are added up.
	Sum []*whose.Field
	// Sums are the sums over all sessions, one for each field of Sum.
	Sums []uint64
	// Total is the number of sessions. It counts each session once, also those in
	// several groups and those whose groups are not in Rows.
	Total int
}

// A Row is one group of sessions.
type Row struct {
	// Values are the group's values, one for each field of [Count].By. The zero
	// value stands for sessions without one.
	Values []whose.Value
	// Count is the number of sessions in the group.
	Count int
	// Sums are the sums over the sessions of the group, one for each field of
	// [Count].Sum. A session without a value adds nothing.
	Sums []uint64
}

// A Counter counts sessions, or events, by the values of some fields. It is the
// hot loop of whose count: it makes values and allocates for a new group, not
// for a session. It is not safe for concurrent use.
type Counter struct {
	by      []*whose.Field
	columns []column
	// owners and peers: there are fields of them.
	owners, peers bool

	// sum are the fields to add up, sums their sums over all sessions.
	sum  []column
	sums []uint64

	groups groups[string, Row]
	total  int
	rows   int // the calls of AddMany
	key    []byte
	free   []whose.Value // memory for those of new groups
}

// NewCounter returns an empty counter. It keeps by.
func NewCounter(by []*whose.Field) *Counter {
	c := &Counter{by: by, groups: newGroups[string, Row](0)}
	for _, f := range by {
		c.columns = append(c.columns, column{Field: f, get: f.Getters(), remote: f.Name == "remote_addr" || f.Name == "remote_port"})
		c.owners = c.owners || f.PerOwner() && f.Of != whose.OfPeer
		c.peers = c.peers || f.PerOwner() && f.Of == whose.OfPeer
	}
	return c
}

// Sum makes the counter add up the values of fields, which are numbers of a session.
// The groups with the largest first sum come first then. Call it before Add.
func (c *Counter) Sum(fields []*whose.Field) {
	for _, f := range fields {
		c.sum = append(c.sum, column{Field: f, get: f.Getters()})
	}
	c.sums = make([]uint64, len(fields))
}

// Summable reports whether [Counter.Sum] takes a field.
func Summable(f *whose.Field) bool {
	switch f.Kind {
	case whose.KindBytes, whose.KindDuration, whose.KindNumber:
		return !f.PerOwner() && f.Getters().Num != nil
	}
	return false
}

// Add counts one session or one event. A session with several owners counts once
// for each owner with other values: eight workers of one nginx count it once by
// comm and eight times by pid. Add keeps nothing of r but its strings and lists.
func (c *Counter) Add(r whose.Row) { c.AddMany(r, 1) }

// AddMany counts n sessions at once that are equal in the fields to count by. The
// fields to add up are the sums of all n.
func (c *Counter) AddMany(r whose.Row, n int) {
	c.total += n
	c.rows++
	c.add(c.sums, r)
	each(c.owners, r.Session.Owners, func(owner *whose.Owner) {
		each(c.peers, r.Session.Peer, func(peer *whose.Owner) { c.count(r, owner, peer, n) })
	})
}

// each calls do with each owner, or once with nil if owners do not matter or
// there are none.
func each(matter bool, owners []whose.Owner, do func(*whose.Owner)) {
	if !matter || len(owners) == 0 {
		do(nil)
		return
	}
	for i := range owners {
		do(&owners[i])
	}
}

// count counts a session in the group of one owner and one owner of the other
// end. Nil is none.
func (c *Counter) count(r whose.Row, owner, peer *whose.Owner, n int) {
	c.key = c.key[:0]
	for i := range c.columns {
		c.key = c.columns[i].appendKey(c.key, r, owner, peer)
	}
	at, known := c.groups.places[string(c.key)] // a known key makes no string
	if !known {
		at = c.groups.add(string(c.key))
		c.groups.all[at].Sum.Values = c.values(r, owner, peer)
		if len(c.sum) > 0 {
			c.groups.all[at].Sum.Sums = make([]uint64, len(c.sum))
		}
	}
	if row := c.groups.once(at, c.rows); row != nil {
		row.Count += n
		c.add(row.Sums, r)
	}
}

// add adds the values of a session to sums.
func (c *Counter) add(sums []uint64, r whose.Row) {
	for i := range c.sum {
		if n, ok := c.sum[i].get.Num(r); ok {
			sums[i] += n
		}
	}
}

// values returns the values of a new group.
func (c *Counter) values(r whose.Row, owner, peer *whose.Owner) []whose.Value {
	const atOnce = 64 // groups
	n := len(c.columns)
	if len(c.free) < n {
		c.free = make([]whose.Value, atOnce*n)
	}
	row := c.free[:n:n]
	c.free = c.free[n:]
	for i := range c.columns {
		row[i] = c.columns[i].value(r, owner, peer)
	}
	return row
}

// A column is a field to count by, with its getters.
type column struct {
	*whose.Field
	get whose.Getters
	// remote: the field is the address or the port of the other side.
	remote bool
}

// absent reports whether a session has no other side, though the field has a value:
// nobody talks to a listener from 0.0.0.0.
func (c *column) absent(r whose.Row) bool { return c.remote && !r.Session.HasRemote() }

// ownerOf returns the owner with the column's value.
func (c *column) ownerOf(owner, peer *whose.Owner) *whose.Owner {
	if c.Of == whose.OfPeer {
		return peer
	}
	return owner
}

func (c *column) value(r whose.Row, owner, peer *whose.Owner) whose.Value {
	if c.absent(r) {
		return whose.Value{}
	}
	if !c.PerOwner() {
		return c.Value(r)
	}
	if o := c.ownerOf(owner, peer); o != nil {
		return c.OwnerValue(o)
	}
	return whose.Value{}
}

// appendKey appends the column's value, with its length or in a length common to
// all values of the column. No two rows of values read the same.
func (c *column) appendKey(key []byte, r whose.Row, owner, peer *whose.Owner) []byte {
	switch {
	case c.absent(r):
		return append(key, 0) // no address has this length, and no number this mark
	case c.get.Code != nil:
		return append(key, c.get.Code(r))
	case c.get.Text != nil:
		return appendText(key, c.get.Text(r))
	case c.get.Num != nil:
		n, ok := c.get.Num(r)
		return appendNum(key, n, ok)
	case c.get.Addr != nil:
		return appendAddr(key, c.get.Addr(r))
	case c.Kind == whose.KindText:
		if o := c.ownerOf(owner, peer); o != nil {
			return appendText(key, c.OwnerText(o))
		}
		return appendText(key, "")
	}
	v := c.value(r, owner, peer)
	key = append(key, byte(v.Kind), 0, 0, 0, 0)
	at := len(key)
	key = v.Append(key)
	binary.BigEndian.PutUint32(key[at-4:], uint32(len(key)-at))
	return key
}

func appendText(key []byte, text string) []byte {
	return append(binary.AppendUvarint(key, uint64(len(text))), text...)
}

// appendAddr appends an address, or a mark for none.
func appendAddr(key []byte, addr netip.Addr) []byte {
	key = append(key, byte(addr.BitLen()))
	if !addr.IsValid() {
		return key
	}
	bytes := addr.As16()
	return appendText(append(key, bytes[:]...), addr.Zone())
}

// appendNum appends a number, or a mark for none.
func appendNum(key []byte, n uint64, ok bool) []byte {
	if !ok {
		return append(key, 0)
	}
	return binary.BigEndian.AppendUint64(append(key, 1), n)
}

// Count returns the top largest groups, 0 for all.
func (c *Counter) Count(top int) *Count {
	count := c.empty()
	count.Rows, _ = largest(c.all(), top, count.compare)
	return count
}

// all returns the groups in no order.
func (c *Counter) all() []Row {
	rows := make([]Row, len(c.groups.all))
	for i := range rows {
		rows[i] = c.groups.all[i].Sum
	}
	return rows
}

// empty returns the count without its groups.
func (c *Counter) empty() *Count {
	count := &Count{By: c.by, Total: c.total, Sums: c.sums}
	for i := range c.sum {
		count.Sum = append(count.Sum, c.sum[i].Field)
	}
	return count
}

// compare orders groups, the largest first.
func (c *Count) compare(a, b Row) int {
	if len(c.Sum) > 0 && a.Sums[0] != b.Sums[0] {
		return cmp.Compare(b.Sums[0], a.Sums[0])
	}
	if n := cmp.Compare(b.Count, a.Count); n != 0 {
		return n
	}
	return slices.CompareFunc(a.Values, b.Values, func(x, y whose.Value) int { return x.Compare(&y) })
}
