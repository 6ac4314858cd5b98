package render

import "github.com/seed-44df2ae6/whose"

// Moulds write the session's own fields of JSON objects. Most sessions of a
// host are alike in most fields: protocol, state, user, namespace. What they
// have in common is made into text once, a mould, with gaps for what differs
// from one to the next: addresses, ports, the numbers of the socket. To write a
// session is then to find its mould and to fill the gaps.
type moulds struct {
	fields        []jsonField
	before, after string // what every mould begins and ends with
	gaps          []jsonField
	slots         [1 << mouldBits]mould // by a hash of the likeness
}

// mouldBits makes room for 256 moulds. Where a host has more likenesses than
// that, sessions are written field by field. At least 6.
const mouldBits = 8

// A mould is the text of sessions that are alike. Each piece but the last ends
// with the key of the gap after it.
type mould struct {
	of   likeness
	made bool
	text []byte
	ends []int // of the pieces in text, one for each gap
}

// A likeness is all on which steady fields depend; that it is all, a test shows.
type likeness struct {
	netns, uid, mark                 uint32
	proto                            whose.Proto
	family                           whose.Family
	state                            whose.State
	direction                        whose.Direction
	v6only                           bool
	reason                           whose.Reason
	user, netnsName, boundDev, scope string
	unit, container                  string
}

func likenessOf(s *whose.Session) likeness {
	return likeness{
		s.NetNS, s.UID, s.Mark, s.Proto, s.Family, s.State, s.Direction, s.V6Only, s.Reason,
		s.User, s.NetNSName, s.BoundDev, s.Scope, s.Unit, s.Container,
	}
}

// slot returns the place of a likeness. Those that differ in state and direction
// alone, the ends of connections that come and go, never have the same one.
func (l *likeness) slot() uint32 {
	const mix = 0x9e3779b1 // 2^32 by the golden ratio: all bits count in the upper ones
	h := l.netns*mix + l.uid<<8 + uint32(l.proto)<<4 + uint32(l.reason)
	h = (h + uint32(len(l.unit)+len(l.container))) * mix >> (32 - mouldBits)
	return h ^ uint32(l.state%16) ^ uint32(l.direction%4)<<4
}

func newMoulds(before string, fields []jsonField, after string) *moulds {
	m := &moulds{fields: fields, before: before, after: after}
	for _, f := range fields {
		if !f.access.steady() {
			m.gaps = append(m.gaps, f)
		}
	}
	return m
}

// append appends those fields that have a value, each with a comma after it,
// and what stands before and after them.
func (m *moulds) append(dst []byte, s *whose.Session) []byte {
	alike := likenessOf(s)
	mould := &m.slots[alike.slot()]
	switch {
	case mould.of != alike:
		mould.of, mould.made = alike, false // worth a mould if another follows
		return m.appendFields(dst, s)
	case !mould.made:
		m.make(mould, s)
	}
	from := 0
	for i, end := range mould.ends {
		dst = append(dst, mould.text[from:end]...)
		dst = m.gaps[i].fill(dst, s)
		from = end
	}
	return append(dst, mould.text[from:]...)
}

// appendFields is append without a mould.
func (m *moulds) appendFields(dst []byte, s *whose.Session) []byte {
	dst = append(dst, m.before...)
	for i := range m.fields {
		f := &m.fields[i]
		dst = f.fill(append(dst, f.key...), s)
	}
	return append(dst, m.after...)
}

// make makes the mould of sessions like s, in the memory of the one before.
func (m *moulds) make(mould *mould, s *whose.Session) {
	text, ends := append(mould.text[:0], m.before...), mould.ends[:0]
	for i := range m.fields {
		f := &m.fields[i]
		text = append(text, f.key...)
		if f.access.steady() {
			text = f.fill(text, s)
		} else {
			ends = append(ends, len(text))
		}
	}
	mould.text, mould.ends, mould.made = append(text, m.after...), ends, true
}
