package render

import "github.com/seed-44df2ae6/whose"

// Moulds write the fields of a session in their order. Most sessions of a host
// are alike in most fields: protocol, state, user, namespace. A mould is their
// common text, made once, with gaps for the varying fields: addresses, ports,
// the numbers of the socket. To write a session is to find its mould and to fill
// the gaps.
type moulds struct {
	parts         []part
	before, after string // the text around every mould
	gaps          []part
	slots         [1 << mouldBits]mould // by a hash of the steady fields
}

// A part is the text of one field in a format.
type part struct {
	steady bool
	append func(dst []byte, r whose.Row) []byte
}

// mouldBits makes room for 256 moulds. If few sessions of a host are alike, they
// are written field by field. At least 6.
const mouldBits = 8

// A mould is the text of alike sessions. A gap follows each piece but the last.
type mould struct {
	first whose.Session // of those alike, without its processes
	made  bool
	text  []byte
	ends  []int // of the pieces in text, one for each gap
}

func (m *mould) turnTo(s *whose.Session) {
	m.first, m.made = *s, false
	m.first.Owners, m.first.Peer, m.first.TCP, m.first.Life = nil, nil, nil, nil
}

// steady reports whether the field is the same for all alike sessions, and so
// for most of a host.
func steady(f *whose.Field) bool {
	switch f.Name {
	case "proto", "family", "state", "uid", "user", "netns", "netns_name", "direction", "bound_dev", "scope",
		"v6only", "exposure", "subflow", "mark", "reason", "socket_unit", "socket_container":
		return true
	}
	return false
}

// alike reports whether two sessions have the same values in all steady fields.
// It compares the facts behind those fields; a test proves them complete.
func alike(a, b *whose.Session) bool {
	return a.NetNS == b.NetNS && a.UID == b.UID && a.Mark == b.Mark &&
		a.Proto == b.Proto && a.Family == b.Family && a.State == b.State &&
		a.Direction == b.Direction && a.V6Only == b.V6Only && a.Exposure == b.Exposure && a.Subflow == b.Subflow && a.Reason == b.Reason && a.Unknown == b.Unknown &&
		a.User == b.User && a.NetNSName == b.NetNSName && a.BoundDev == b.BoundDev &&
		a.Scope == b.Scope && a.Unit == b.Unit && a.Container == b.Container
}

// slotOf returns the place of a session's mould. Sessions with a difference in
// state and direction alone, the ends of short-lived connections, never share a
// place.
func slotOf(s *whose.Session) uint32 {
	const mix = 0x9e3779b1 // 2^32 by the golden ratio: all bits count in the upper ones
	h := s.NetNS*mix + s.UID<<8 + uint32(s.Proto)<<4 + uint32(s.Reason)
	h = (h + uint32(len(s.Unit)+len(s.Container))) * mix >> (32 - mouldBits)
	return h ^ uint32(s.State%16) ^ uint32(s.Direction%4)<<4
}

func newMoulds(before string, parts []part, after string) *moulds {
	m := &moulds{parts: parts, before: before, after: after}
	for _, p := range parts {
		if !p.steady {
			m.gaps = append(m.gaps, p)
		}
	}
	return m
}

// append appends all parts, and the text before and after them.
func (m *moulds) append(dst []byte, r whose.Row) []byte {
	s := r.Session
	mould := &m.slots[slotOf(s)]
	switch {
	case !alike(&mould.first, s):
		mould.turnTo(s) // worth a mould if another follows
		return m.appendParts(dst, r)
	case !mould.made:
		m.make(mould, r)
	}
	from := 0
	for i, end := range mould.ends {
		dst = append(dst, mould.text[from:end]...)
		dst = m.gaps[i].append(dst, r)
		from = end
	}
	return append(dst, mould.text[from:]...)
}

func (m *moulds) appendParts(dst []byte, r whose.Row) []byte {
	dst = append(dst, m.before...)
	for i := range m.parts {
		dst = m.parts[i].append(dst, r)
	}
	return append(dst, m.after...)
}

// make makes the mould of sessions like r's, in the memory of the one before.
func (m *moulds) make(mould *mould, r whose.Row) {
	text, ends := append(mould.text[:0], m.before...), mould.ends[:0]
	for i := range m.parts {
		if p := &m.parts[i]; p.steady {
			text = p.append(text, r)
		} else {
			ends = append(ends, len(text))
		}
	}
	mould.text, mould.ends, mould.made = append(text, m.after...), ends, true
}
