package main

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/render"
)

// A tally counts sessions by the values of some fields. This is the hot loop
// of whose count: it allocates for a new group, not for a session.
type tally struct {
	fields []*whose.Field
	groups map[string]int // key to the place in counts
	counts []render.CountRow
	total  int

	row  []whose.Value // the values of one group of one session
	key  []byte
	seen [][]byte // keys of this session so far; the memory is used again
}

func newTally(fields []*whose.Field) *tally {
	return &tally{
		fields: fields,
		groups: make(map[string]int),
		row:    make([]whose.Value, len(fields)),
	}
}

// add counts one session: once in the group of its values. A session with
// several owners is counted once in the group of each that differs in the
// values asked for, so eight workers of one nginx count it once by comm and
// eight times by pid.
func (t *tally) add(s *whose.Session) {
	t.total++
	var owners, peers bool
	for i, f := range t.fields {
		switch {
		case !f.PerOwner():
			t.row[i] = f.Value(s.Row())
		case f.Of == whose.OfPeer:
			peers = true
		default:
			owners = true
		}
	}
	t.seen = t.seen[:0]
	each(owners, s.Owners, func(owner *whose.Owner) {
		t.fill(whose.OfOwner, owner)
		each(peers, s.Peer, func(peer *whose.Owner) {
			t.fill(whose.OfPeer, peer)
			t.count(len(s.Owners) > 1 || len(s.Peer) > 1)
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
func (t *tally) fill(of whose.Group, owner *whose.Owner) {
	for i, f := range t.fields {
		if !f.PerOwner() || (f.Of == whose.OfPeer) != (of == whose.OfPeer) {
			continue
		}
		t.row[i] = whose.Value{}
		if owner != nil {
			t.row[i] = f.OwnerValue(owner)
		}
	}
}

// count counts the row, once for each session.
func (t *tally) count(several bool) {
	t.key = t.key[:0]
	for i := range t.row {
		t.key = appendKey(t.key, t.row[i])
	}
	if several {
		if slices.ContainsFunc(t.seen, func(k []byte) bool { return bytes.Equal(k, t.key) }) {
			return
		}
		t.remember()
	}
	at, known := t.groups[string(t.key)]
	if !known {
		at = len(t.counts)
		t.groups[string(t.key)] = at
		t.counts = append(t.counts, render.CountRow{Values: slices.Clone(t.row)})
	}
	t.counts[at].Count++
}

// remember adds the key to those of this session.
func (t *tally) remember() {
	n := len(t.seen)
	t.seen = slices.Grow(t.seen, 1)[:n+1]
	t.seen[n] = append(t.seen[n][:0], t.key...)
}

// appendKey appends a value so that no two rows of values read the same.
func appendKey(key []byte, v whose.Value) []byte {
	key = append(key, byte(v.Kind), 0, 0, 0, 0)
	at := len(key)
	key = v.Append(key)
	binary.BigEndian.PutUint32(key[at-4:], uint32(len(key)-at))
	return key
}

// sorted returns the groups, most sessions first, then by their values.
func (t *tally) sorted() []render.CountRow {
	slices.SortFunc(t.counts, func(a, b render.CountRow) int {
		if c := cmp.Compare(b.Count, a.Count); c != 0 {
			return c
		}
		return slices.CompareFunc(a.Values, b.Values, func(x, y whose.Value) int { return x.Compare(&y) })
	})
	return t.counts
}
