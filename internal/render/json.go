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
// session; for each process it keeps the text of what does not change.
type jsonEncoder struct {
	before, after string
	session, tcp  []jsonField
	owners, peer  *jsonOwners
}

func newJSONEncoder(fields []*whose.Field, before, after string) *jsonEncoder {
	return &jsonEncoder{
		before: before, after: after,
		session: jsonFields(fieldsOf(fields, whose.OfSession)),
		owners:  newJSONOwners(fieldsOf(fields, whose.OfOwner)),
		peer:    newJSONOwners(fieldsOf(fields, whose.OfPeer)),
		tcp:     jsonFields(fieldsOf(fields, whose.OfTCP)),
	}
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
	dst = append(dst, e.before...)
	dst = append(dst, '{')
	start := len(dst)
	dst = appendSessionFields(dst, e.session, s)
	if e.owners != nil {
		dst = e.owners.append(append(dst, `"owners":[`...), s.Owners)
	}
	if e.peer != nil && len(s.Peer) > 0 {
		dst = e.peer.append(append(dst, `"peer":[`...), s.Peer)
	}
	dst = appendSessionFields(dst, e.tcp, s)
	if len(dst) > start {
		dst = dst[:len(dst)-1] // the last comma
	}
	dst = append(dst, '}')
	return append(dst, e.after...)
}

// appendSessionFields appends those fields that have a value, each with a
// comma after it.
func appendSessionFields(dst []byte, fields []jsonField, s *whose.Session) []byte {
	for i := range fields {
		f := &fields[i]
		if f.access == byTable {
			v := f.Value(s)
			if v.Kind != 0 {
				dst = appendJSONValue(append(dst, f.key...), &v)
				dst = append(dst, ',')
			}
			continue
		}
		kind, text, num := f.access.of(s)
		if kind == 0 {
			continue
		}
		dst = append(dst, f.key...)
		switch kind {
		case whose.KindName:
			dst = append(append(append(dst, '"'), text...), '"')
		case whose.KindText:
			dst = appendJSONString(dst, text)
		case whose.KindAddr:
			dst = append(f.access.addr(s).AppendTo(append(dst, '"')), '"')
		case whose.KindBool:
			dst = strconv.AppendBool(dst, num != 0)
		default:
			dst = strconv.AppendUint(dst, num, 10)
		}
		dst = append(dst, ',')
	}
	return dst
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
// not of the session is made into text once per process: the fields before the
// descriptors and those after them.
type jsonOwners struct {
	before, after []jsonField
	fds           *jsonField
	memo          map[*whose.Process]processText
	limit         int // how many processes are remembered at once
	last          *whose.Process
	lastText      processText
}

type processText struct{ before, after string }

// memoLimit is how many processes a listing remembers at once.
const memoLimit = 1 << 16

func newJSONOwners(fields []*whose.Field) *jsonOwners {
	if len(fields) == 0 {
		return nil
	}
	o := &jsonOwners{before: jsonFields(fields), memo: make(map[*whose.Process]processText), limit: memoLimit}
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
		if owners[i].Process != o.last {
			o.turnTo(&owners[i])
		}
		dst = append(dst, '{')
		dst = append(dst, o.lastText.before...)
		if o.fds != nil {
			dst = append(dst, o.fds.key...)
			v := o.fds.OwnerValue(&owners[i])
			dst = appendJSONValue(dst, &v)
			dst = append(dst, ',')
		}
		dst = append(dst, o.lastText.after...)
		if dst[len(dst)-1] == ',' {
			dst = dst[:len(dst)-1]
		}
		dst = append(dst, "},"...)
	}
	if len(owners) > 0 {
		dst = dst[:len(dst)-1]
	}
	return append(dst, "],"...)
}

// turnTo makes the owner's process the last one.
func (o *jsonOwners) turnTo(owner *whose.Owner) {
	text, ok := o.memo[owner.Process]
	if !ok {
		text = processText{ownerText(o.before, owner), ownerText(o.after, owner)}
		if len(o.memo) >= o.limit {
			clear(o.memo)
		}
		o.memo[owner.Process] = text
	}
	o.last, o.lastText = owner.Process, text
}

// ownerText returns those fields of an owner that have a value, each with a
// comma after it.
func ownerText(fields []jsonField, owner *whose.Owner) string {
	var dst []byte
	for i := range fields {
		v := fields[i].OwnerValue(owner)
		if v.Kind == 0 {
			continue
		}
		dst = append(dst, fields[i].key...)
		dst = append(appendJSONValue(dst, &v), ',')
	}
	return string(dst)
}
