package render

import (
	"strconv"
	"time"

	"github.com/seed-44df2ae6/whose"
)

// SchemaVersion is the version in the object of the format JSON. It rises when
// a key changes its meaning or goes; new keys leave it as it is.
const SchemaVersion = 1

func jsonFraming(fields []*whose.Field) framing {
	return framing{
		head:       append(strconv.AppendInt([]byte(`{"version":`), SchemaVersion, 10), `,"sessions":[`...),
		sep:        ",",
		newEncoder: func() encoder { return newJSONEncoder(fields, ",\n", "").append },
		tail: func(dst []byte, c *whose.Coverage) []byte {
			dst = append(dst, "\n]"...)
			if c != nil {
				dst = appendCoverage(append(dst, `,"coverage":`...), c)
			}
			return append(dst, "}\n"...)
		},
	}
}

func jsonlFraming(fields []*whose.Field) framing {
	return framing{newEncoder: func() encoder { return newJSONEncoder(fields, "", "\n").append }}
}

// A jsonField is a field with its key, ready to append.
type jsonField struct {
	*whose.Field
	key    string // `"local_port":`
	access access
}

// A jsonEncoder writes sessions as JSON objects. It allocates nothing for a
// session; it keeps the text of what sessions have in common, and for each
// process that of what does not change.
type jsonEncoder struct {
	after        string
	session      *moulds
	owners, peer *jsonOwners
	tcp          []jsonField
}

// newJSONEncoder returns an encoder that puts before and after around every
// object.
func newJSONEncoder(fields []*whose.Field, before, after string) *jsonEncoder {
	e := &jsonEncoder{
		after:  "}" + after,
		owners: newJSONOwners(fieldsOf(fields, whose.OfOwner)),
		peer:   newJSONOwners(fieldsOf(fields, whose.OfPeer)),
		tcp:    jsonFields(fieldsOf(fields, whose.OfTCP)),
	}
	opening := ""
	if e.owners != nil {
		opening = `"owners":[`
	}
	e.session = newMoulds(before+"{", jsonFields(fieldsOf(fields, whose.OfSession)), opening)
	return e
}

func jsonFields(fields []*whose.Field) []jsonField {
	all := make([]jsonField, len(fields))
	for i, f := range fields {
		all[i] = jsonField{f, `"` + f.JSONKey() + `":`, accessTo(f)}
	}
	return all
}

// append appends one session: its own fields, its owners, the peer's, TCP's.
func (e *jsonEncoder) append(dst []byte, s *whose.Session) []byte {
	dst = e.session.append(dst, s)
	if e.owners != nil {
		dst = e.owners.append(dst, s.Owners)
	}
	if e.peer != nil && len(s.Peer) > 0 {
		dst = e.peer.append(append(dst, `"peer":[`...), s.Peer)
	}
	if s.TCP != nil {
		for i := range e.tcp {
			dst = e.tcp[i].fill(append(dst, e.tcp[i].key...), s)
		}
	}
	if last := len(dst) - 1; dst[last] == ',' {
		dst = dst[:last]
	}
	return append(dst, e.after...)
}

// fill appends the field's value and a comma after its key. Where there is no
// value, it takes the key away again.
func (f *jsonField) fill(dst []byte, s *whose.Session) []byte {
	if f.access == byTable {
		return f.fillByTable(dst, s)
	}
	kind, text, num := f.access.of(s)
	switch kind {
	case 0:
		return dst[:len(dst)-len(f.key)]
	case whose.KindName:
		return append(append(append(dst, '"'), text...), `",`...)
	case whose.KindText:
		return append(appendJSONString(dst, text), ',')
	case whose.KindAddr:
		return append(f.access.addr(s).AppendTo(append(dst, '"')), `",`...)
	case whose.KindBool:
		return append(strconv.AppendBool(dst, num != 0), ',')
	case whose.KindDuration:
		num /= uint64(time.Microsecond)
	}
	return append(appendUint(dst, num), ',')
}

// fillByTable is fill for those without a quick access. It is apart so that the
// others clear no room for a whose.Value.
func (f *jsonField) fillByTable(dst []byte, s *whose.Session) []byte {
	v := f.Value(s)
	if v.Kind == 0 {
		return dst[:len(dst)-len(f.key)]
	}
	return append(appendJSONValue(dst, &v), ',')
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
	case whose.KindNumbers:
		dst = append(dst, '[')
		dst = v.Append(dst)
		return append(dst, ']')
	}
	return v.Append(dst)
}

// A jsonOwners writes lists of owners. All that is a fact of the process and
// not of the session is made into text once per process: what stands before the
// descriptors, and what after them.
type jsonOwners struct {
	before, after []jsonField
	fds           *jsonField
	memo          map[*whose.Process]*processText
	limit         int // how many processes are remembered at once
	recent        [recentProcesses]*processText
	scratch       []byte
}

// A processText is the text of a process: the whole object in before, unless
// there is a place for descriptors.
type processText struct {
	of            *whose.Process
	before, after string
}

const (
	// memoLimit is how many processes a listing remembers at once.
	memoLimit = 1 << 16
	// recentProcesses is how many are found without a look into the memo: those
	// met last, by the last bits of their numbers.
	recentProcesses = 16
)

func newJSONOwners(fields []*whose.Field) *jsonOwners {
	if len(fields) == 0 {
		return nil
	}
	o := &jsonOwners{before: jsonFields(fields), memo: make(map[*whose.Process]*processText), limit: memoLimit}
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
		recent := &o.recent[owner.PID%recentProcesses]
		text := *recent
		if text == nil || text.of != owner.Process {
			text = o.textOf(owner)
			*recent = text
		}
		dst = append(dst, text.before...)
		if o.fds != nil {
			dst = o.fds.appendOwner(dst, owner)
		}
		dst = append(dst, text.after...)
		if i < len(owners)-1 {
			dst = append(dst, ',')
		}
	}
	return append(dst, "],"...)
}

// appendOwner appends the value of an owner.
func (f *jsonField) appendOwner(dst []byte, owner *whose.Owner) []byte {
	v := f.OwnerValue(owner)
	return appendJSONValue(dst, &v)
}

// textOf returns the text of the owner's process.
func (o *jsonOwners) textOf(owner *whose.Owner) *processText {
	if text, ok := o.memo[owner.Process]; ok {
		return text
	}
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
	text := &processText{owner.Process, whole[:gap], whole[gap:]}
	if len(o.memo) >= o.limit {
		clear(o.memo)
	}
	o.memo[owner.Process] = text
	return text
}

// appendOwnerFields appends those fields of an owner that have a value, each
// with a comma after it.
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
