package render

import (
	"strconv"
	"time"

	"github.com/seed-44df2ae6/whose"
)

// SchemaVersion is the version in the object of the format JSON. It rises when a
// key changes its meaning or goes. New keys do not change it.
const SchemaVersion = 1

func jsonFraming(fields []*whose.Field) framing {
	return framing{
		head:       append(strconv.AppendInt([]byte(`{"version":`), SchemaVersion, 10), `,"sessions":[`...),
		sep:        ",",
		newEncoder: func() encoder { return infallible(newJSONEncoder(fields, ",\n", "").session) },
		tail: func(dst []byte, c *whose.Coverage) []byte {
			dst = append(dst, "\n]"...)
			if c != nil {
				dst = AppendCoverage(append(dst, `,"coverage":`...), c)
			}
			return append(dst, "}\n"...)
		},
	}
}

func jsonlFraming(fields []*whose.Field) framing {
	return framing{newEncoder: func() encoder { return infallible(newJSONEncoder(fields, "", "\n").session) }}
}

// A jsonField is a field with its key, ready to append.
type jsonField struct {
	*whose.Field
	key string // `"local_port":`
	get whose.Getters
	// plain: a number written as it is.
	plain bool
}

func newJSONField(f *whose.Field, key string) jsonField {
	plain := f.Kind != whose.KindBool && f.Kind != whose.KindDuration && f.Kind != whose.KindHex
	return jsonField{f, `"` + key + `":`, f.Getters(), plain}
}

// A jsonEncoder writes sessions as JSON objects. It allocates nothing for a
// session. It keeps the text common to sessions, and the unchanging text of each
// process.
type jsonEncoder struct {
	after        string
	own          *moulds
	owners, peer *jsonOwners
	// last are the facts missing in most sessions: of TCP, if asked for, and of a
	// life.
	last []jsonField
}

// newJSONEncoder returns an encoder. It puts before and after around every
// object.
func newJSONEncoder(fields []*whose.Field, before, after string) *jsonEncoder {
	e := &jsonEncoder{
		after:  "}" + after,
		owners: newJSONOwners(fieldsOf(fields, whose.OfOwner)),
		peer:   newJSONOwners(fieldsOf(fields, whose.OfPeer)),
		last:   jsonFields(append(fieldsOf(fields, whose.OfTCP), fieldsOf(fields, whose.OfLife)...)),
	}
	opening := ""
	if e.owners != nil {
		opening = `"owners":[`
	}
	e.own = newMoulds(before+"{", jsonParts(fieldsOf(fields, whose.OfSession)), opening)
	return e
}

// jsonParts are the fields with a value, each with a comma after it.
func jsonParts(fields []*whose.Field) []part {
	parts := make([]part, len(fields))
	for i, f := range jsonFields(fields) {
		parts[i] = part{steady(f.Field), f.append}
	}
	return parts
}

func jsonFields(fields []*whose.Field) []jsonField {
	all := make([]jsonField, len(fields))
	for i, f := range fields {
		all[i] = newJSONField(f, f.JSONKey())
	}
	return all
}

// session appends one session.
func (e *jsonEncoder) session(dst []byte, s *whose.Session) []byte { return e.append(dst, s.Row()) }

// append appends the session of a row: its own fields, its owners, the peer's,
// TCP's and those of its life.
func (e *jsonEncoder) append(dst []byte, r whose.Row) []byte {
	s := r.Session
	dst = e.own.append(dst, r)
	if e.owners != nil {
		dst = e.owners.append(dst, s.Owners)
	}
	if e.peer != nil && len(s.Peer) > 0 {
		dst = e.peer.append(append(dst, `"peer":[`...), s.Peer)
	}
	if s.TCP != nil || s.Flow != 0 || r.HasLife() {
		for i := range e.last {
			dst = e.last[i].append(dst, r)
		}
	}
	if last := len(dst) - 1; dst[last] == ',' {
		dst = dst[:last]
	}
	return append(dst, e.after...)
}

// append appends the key, the value and a comma, or nothing without a value. It
// reads the row by the getter of the field's kind: passing a whose.Value around
// would be most of the cost of a line of JSON.
func (f *jsonField) append(dst []byte, r whose.Row) []byte {
	switch {
	case f.get.Num != nil:
		n, ok := f.get.Num(r)
		switch {
		case !ok:
			return dst
		case f.plain:
			return append(appendUint(append(dst, f.key...), n), ',')
		}
		return append(f.appendNum(append(dst, f.key...), n), ',')
	case f.get.Addr != nil:
		if addr := f.get.Addr(r); addr.IsValid() {
			return append(addr.AppendTo(append(append(dst, f.key...), '"')), `",`...)
		}
	case f.get.Code != nil:
		if name := f.CodeName(f.get.Code(r)); name != "" {
			return append(append(append(append(dst, f.key...), '"'), name...), `",`...)
		}
	case f.get.Text != nil:
		if text := f.get.Text(r); text != "" {
			return append(appendJSONString(append(dst, f.key...), text), ',')
		}
	case f.get.Time != nil:
		if v := f.Value(r); !v.IsZero() {
			return append(appendJSONValue(append(dst, f.key...), &v), ',')
		}
	}
	return dst
}

// appendNum appends a number of the field's kind.
func (f *jsonField) appendNum(dst []byte, n uint64) []byte {
	switch f.Kind {
	case whose.KindBool:
		return strconv.AppendBool(dst, n != 0)
	case whose.KindHex:
		return append(whose.AppendHex(append(dst, '"'), n), '"')
	case whose.KindDuration:
		n /= uint64(time.Microsecond)
	}
	return appendUint(dst, n)
}

// appendJSONValue appends a value: numbers as numbers, durations in
// microseconds, points in time in UTC.
func appendJSONValue(dst []byte, v *whose.Value) []byte {
	switch v.Kind {
	case whose.KindName:
		dst = append(dst, '"')
		dst = append(dst, v.Text...)
		return append(dst, '"')
	case whose.KindText:
		return appendJSONString(dst, v.Text)
	case whose.KindHex:
		return append(whose.AppendHex(append(dst, '"'), v.Num), '"')
	case whose.KindAddr:
		dst = append(dst, '"')
		dst = v.Addr.AppendTo(dst)
		return append(dst, '"')
	case whose.KindDuration:
		return strconv.AppendUint(dst, v.Num/uint64(time.Microsecond), 10)
	case whose.KindTime:
		dst = append(dst, '"')
		dst = v.Time.UTC().AppendFormat(dst, whose.TimeFormat)
		return append(dst, '"')
	case whose.KindInstant:
		dst = append(dst, '"')
		dst = v.Time.UTC().AppendFormat(dst, whose.InstantFormat)
		return append(dst, '"')
	case whose.KindNumbers:
		dst = append(dst, '[')
		dst = v.Append(dst)
		return append(dst, ']')
	}
	return v.Append(dst)
}

// A jsonOwners writes lists of owners. It makes the facts of a process, not of
// the session, into text once per process: the text before the descriptors, and
// the text after them.
type jsonOwners struct {
	before, after []jsonField
	fds           *jsonField
	memo          processMemo[processText]
	scratch       []byte
}

// A processText is the text of a process. Without a place for descriptors,
// before holds the whole object.
type processText struct{ before, after string }

func newJSONOwners(fields []*whose.Field) *jsonOwners {
	if len(fields) == 0 {
		return nil
	}
	o := &jsonOwners{before: jsonFields(fields)}
	o.memo.make = o.textOf
	for i := range o.before {
		if o.before[i].Kind == whose.KindNumbers {
			o.fds, o.after, o.before = &o.before[i], o.before[i+1:], o.before[:i]
			break
		}
	}
	return o
}

// append appends the owners, the closing bracket and a comma.
func (o *jsonOwners) append(dst []byte, owners []whose.Owner) []byte {
	for i := range owners {
		owner := &owners[i]
		text := o.memo.of(owner)
		dst = append(dst, text.before...)
		if o.fds != nil {
			dst = appendNumbers(append(dst, '['), owner.FDs)
			dst = append(dst, ']')
		}
		dst = append(dst, text.after...)
		if i < len(owners)-1 {
			dst = append(dst, ',')
		}
	}
	return append(dst, "],"...)
}

// textOf makes the text of the owner's process.
func (o *jsonOwners) textOf(owner *whose.Owner) processText {
	dst := appendOwnerFields(append(o.scratch[:0], '{'), o.before, owner)
	gap := len(dst)
	if o.fds != nil {
		dst = append(dst, o.fds.key...)
		gap = len(dst)
		dst = appendOwnerFields(append(dst, ','), o.after, owner)
	}
	if last := len(dst) - 1; dst[last] == ',' {
		dst = dst[:last]
	}
	o.scratch = append(dst, '}')
	whole := string(o.scratch)
	return processText{whole[:gap], whole[gap:]}
}

// appendOwnerFields appends the fields of an owner with a value, each with a
// comma after it.
func appendOwnerFields(dst []byte, fields []jsonField, owner *whose.Owner) []byte {
	for i := range fields {
		v := fields[i].OwnerValue(owner)
		if v.Kind == 0 {
			continue
		}
		dst = append(dst, fields[i].key...)
		dst = append(appendJSONValue(dst, &v), ',')
	}
	return dst
}
