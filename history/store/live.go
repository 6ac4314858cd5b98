package store

import (
	"net/netip"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/shrink"
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

// A live session has not ended as far as the writer knows.
type live struct {
	*standing
	key liveID
	// id is its row in the table live, 0 for none.
	id int64
	// missed counts the looks at all standing sessions that did not find it, the
	// first of them at missedAt.
	missedAt int64
	pass     uint32
	missed   uint8
	// dirty: its row is not up to date, nor being written.
	dirty bool
	// ended: it is in no map any more.
	ended bool
	// unsure: it stood when the writer before this one stopped, at missedAt, and
	// nobody has seen it since.
	unsure bool
}

// matures is the age at which a session gets a row. Most end before.
const matures = int64(500 * time.Millisecond / time.Microsecond)

// young reports whether the session is too young for a row.
func (l *live) young(now int64) bool {
	return l.id == 0 && l.flags&knownOpen != 0 && now-l.from < matures && now >= l.from
}

// A table of live sessions, and the changes due to its rows in the file.
type table struct {
	all    shrink.Map[liveID, *live]
	nextID int64
	places places
	// changed are the sessions to insert or update at the next commit; deleted are
	// the rows to delete.
	changed []*live
	deleted []int64
	// bare: the file has no rows yet, and the next commit writes all of them.
	bare bool
	pass uint32
	// strangers are sessions that a look found and no event reported, with the
	// number of that look.
	strangers map[liveID]uint32
}

func newTable() table {
	return table{strangers: make(map[liveID]uint32), places: make(places), nextID: 1}
}

// newLive makes a session that stands, without a row.
func (t *table) newLive(f *facts, from int64) *live {
	return &live{standing: t.standingOf(f, from), key: idOf(f), pass: t.pass}
}

// put adds a session.
func (t *table) put(l *live) {
	if old, met := t.all.Get(l.key); met {
		t.drop(old)
	}
	t.all.Set(l.key, l)
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
	t.all.Delete(l.key)
	l.ended = true
	if l.id != 0 {
		t.deleted = append(t.deleted, l.id)
	}
}

// find returns the session with facts f, nil for none.
func (t *table) find(f *facts) *live {
	l, _ := t.all.Get(idOf(f))
	return l
}

// anew forgets the rows: they are to be written to another file.
func (t *table) anew() {
	t.changed, t.deleted, t.nextID, t.bare = t.changed[:0], t.deleted[:0], 1, true
	for _, l := range t.all.All() {
		l.id, l.dirty = 0, true
		t.changed = append(t.changed, l)
	}
}
