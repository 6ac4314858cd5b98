package store

import (
	"net/netip"
	"time"

	"github.com/seed-44df2ae6/whose"
)

// A key is the identity of a session: its cookie and remote end, since the flows of
// a UDP socket share the cookie. Without a cookie its ends, namespace and inode.
type key struct {
	cookie, inode uint64
	local, remote netip.AddrPort
	netns         uint32
	proto         whose.Proto
}

func keyOf(f *facts) key {
	if f.cookie != 0 {
		return key{cookie: f.cookie, remote: f.remote}
	}
	k := key{local: f.local, remote: f.remote, netns: f.place.netns, proto: f.proto}
	if f.remote.Port() == 0 || f.proto.IsDatagram() {
		k.inode = f.inode
	}
	return k
}

// A standing holds the known facts of a session that stands. It is never written
// again, so a commit reads it while more becomes known.
type standing struct {
	facts
	from int64
}

// A live session has not ended as far as the writer knows.
type live struct {
	*standing
	// id is its row in the table live, 0 for none.
	id int64
	// missed counts the looks at all standing sessions that did not find it, the
	// first of them at missedAt.
	missed   uint8
	missedAt int64
	// dirty: its row is not up to date, nor being written.
	dirty bool
	// ended: it is in no map any more.
	ended bool
	// unsure: it stood when the writer before this one stopped, at missedAt, and
	// nobody has seen it since.
	unsure bool
	pass   uint32
}

// entry returns the row of the table live.
func (s *standing) entry(at int64) entry {
	e := entry{facts: s.facts, from: s.from, at: at}
	e.kind = stands
	return e
}

// matures is the age at which a session gets a row. Most end before.
const matures = int64(500 * time.Millisecond / time.Microsecond)

// young reports whether the session is too young for a row.
func (l *live) young(now int64) bool {
	return l.id == 0 && l.flags&knownOpen != 0 && now-l.from < matures && now >= l.from
}

// A table of live sessions, and the changes due to its rows in the file.
type table struct {
	all    map[key]*live
	nextID int64
	// changed are the sessions to insert or update at the next commit; deleted are
	// the rows to delete.
	changed []*live
	deleted []int64
	pass    uint32
	// strangers are sessions that a look found and no event reported, with the
	// number of that look.
	strangers map[key]uint32
}

func newTable() table {
	return table{all: make(map[key]*live), strangers: make(map[key]uint32), nextID: 1}
}

// put adds a session.
func (t *table) put(l *live) {
	k := keyOf(&l.facts)
	if old := t.all[k]; old != nil {
		t.drop(old)
	}
	t.all[k] = l
	t.touch(l)
}

// touch notes that the row of a session is to be written.
func (t *table) touch(l *live) {
	if !l.dirty {
		l.dirty = true
		t.changed = append(t.changed, l)
	}
}

// drop removes a session.
func (t *table) drop(l *live) {
	delete(t.all, keyOf(&l.facts))
	l.ended = true
	if l.id != 0 {
		t.deleted = append(t.deleted, l.id)
	}
}

// find returns the session with facts f, nil for none.
func (t *table) find(f *facts) *live { return t.all[keyOf(f)] }

// anew forgets the rows: they are to be written to another file.
func (t *table) anew() {
	t.changed, t.deleted, t.nextID = t.changed[:0], t.deleted[:0], 1
	for _, l := range t.all {
		l.id, l.dirty = 0, true
		t.changed = append(t.changed, l)
	}
}
