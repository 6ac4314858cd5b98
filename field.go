package whose

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Group is the subject of a field.
type Group uint8

// The groups.
const (
	// OfSession: the session itself.
	OfSession Group = iota + 1
	// OfOwner: each of its owners; in JSON inside "owners".
	OfOwner
	// OfPeer: each owner of the other end; in JSON inside "peer".
	OfPeer
	// OfTCP: facts of TCP alone, shown on request.
	OfTCP
	// OfLife: the life of a session, see [Lifetime]. An event has it beside its
	// session.
	OfLife
	// OfEvent: an event alone, and no session without one.
	OfEvent
)

// A Field is one column: a fact of a session, of its owners, of its life or of
// an event. Tables, JSON, CSV, templates, filters, completion and the reference
// pages are loops over the table of fields, and JSON is read back by it. Get one
// by [FieldByName], all by [Fields].
type Field struct {
	// Name is the name in filters, in --fields and, if Key is empty, in JSON.
	Name string
	// Key is the JSON key inside its object. Empty: Name.
	Key string
	// Aliases are shorter names for filters and --fields.
	Aliases []string
	// Title heads the column in tables.
	Title string
	// Unit of the values in JSON, empty for none.
	Unit string
	// Doc is the meaning in one sentence.
	Doc string
	// Kind of the values.
	Kind Kind
	// Of is the subject.
	Of Group
	// Needs are the facts to collect for it.
	Needs Needs
	// Values are all values of a KindName field.
	Values []string

	// EventKey is the JSON key beside the session, in every event: "end", or
	// "sent.bytes" for a key within an object. Empty: events have the field
	// inside the session, where it was asked for.
	EventKey string

	names enum // of a KindName field
	row   access[Row]
	owner access[*Owner]
}

// JSONKey returns the key in JSON.
func (f *Field) JSONKey() string {
	if f.Key != "" {
		return f.Key
	}
	return f.Name
}

// PerOwner reports whether the field has a value for each owner rather than
// one for the session.
func (f *Field) PerOwner() bool { return f.owner.set != nil }

// Value returns the field's value of a row. A field of owners has the zero Value;
// see [Field.OwnerValue].
func (f *Field) Value(r Row) Value { return f.row.value(f, r) }

// OwnerValue returns the field's value of one owner. A field of the session has
// the zero Value.
func (f *Field) OwnerValue(o *Owner) Value { return f.owner.value(f, o) }

// Getters read one fact of a row without making a [Value] of it, for loops over
// millions. Each is for fields of certain kinds; the others are nil.
type Getters struct {
	// Text is for KindText; "" is no value.
	Text func(Row) string
	// Code is for KindName and returns the number of the name; 0 is no value.
	// [Field.CodeName] gives the name.
	Code func(Row) uint8
	// Num is for all kinds of numbers: a duration in nanoseconds, a bool as 0 or 1.
	// False means no value.
	Num func(Row) (uint64, bool)
	// Addr is for KindAddr; the zero Addr is no value.
	Addr func(Row) netip.Addr
	// Time is for KindTime and KindInstant; the zero time is no value.
	Time func(Row) time.Time
}

// Getters returns the field's getters. A field of owners has none; see
// [Field.OwnerText] and [Field.OwnerNum].
func (f *Field) Getters() Getters {
	return Getters{f.row.text, f.row.code, f.row.num, f.row.addr, f.row.time}
}

// CodeName returns the name of a number of [Getters.Code], "" for 0.
func (f *Field) CodeName(code uint8) string { return f.names.name(code) }

// CodeOf returns the number of a name, 0 for an unknown one.
func (f *Field) CodeOf(name string) uint8 { return f.names.number(name) }

// OwnerText returns an owner's value of a KindText field, "" for none.
func (f *Field) OwnerText(o *Owner) string {
	if f.owner.text == nil {
		return ""
	}
	return f.owner.text(o)
}

// OwnerNum returns an owner's value of a KindNumber field. Without a value ok is
// false.
func (f *Field) OwnerNum(o *Owner) (n uint64, ok bool) {
	if f.owner.num == nil {
		return 0, false
	}
	return f.owner.num(o)
}

// OwnersOf returns the owners for [Field.OwnerValue]: the session's own or, for a
// field of the peer, those of the other end.
func (f *Field) OwnersOf(s *Session) []Owner {
	if f.Of == OfPeer {
		return s.Peer
	}
	return s.Owners
}

// A Pair is one name for two fields at once: "port" for the port on either side.
type Pair struct {
	Name  string
	Doc   string
	Which [2]string
}

// pairs are the names in filters for either side.
var pairs = [...]Pair{
	{Name: "addr", Doc: "The address on either side.", Which: [2]string{"local_addr", "remote_addr"}},
	{Name: "port", Doc: "The port on either side.", Which: [2]string{"local_port", "remote_port"}},
}

// Pairs returns the names for the fields of both ends.
func Pairs() []Pair { return pairs[:] }

// Fields returns the fields of sessions in the order of the documents and
// outputs. The table is shared: do not change it.
func Fields() []*Field { return sessionTable.get() }

// EventFields returns the fields with an EventKey, which every event has beside
// its session, in their order in JSON. The table is shared: do not change it.
func EventFields() []*Field { return eventTable.get() }

// AllFields returns the fields of sessions and those of events alone.
func AllFields() []*Field { return fieldTable.get() }

// FieldByName returns the field with a name or alias, in any case, or nil.
func FieldByName(name string) *Field {
	for _, f := range fieldTable.get() {
		if strings.EqualFold(f.Name, name) {
			return f
		}
		for _, a := range f.Aliases {
			if strings.EqualFold(a, name) {
				return f
			}
		}
	}
	return nil
}

// A table is made when it is first needed, so the start of a program that needs
// it late or never costs nothing. It is safe for concurrent use.
type table struct {
	once   sync.Once
	fields []*Field
	make   func() []*Field
}

func (t *table) get() []*Field {
	t.once.Do(func() { t.fields = t.make() })
	return t.fields
}

// The table of all fields, and two parts of it.
var (
	fieldTable = table{make: func() []*Field {
		return slices.Concat(sessionFields(), ownerFields(), peerFields(), tcpFields(), lifeFields(), eventFields())
	}}
	sessionTable = table{make: func() []*Field {
		return slices.DeleteFunc(slices.Clone(fieldTable.get()), func(f *Field) bool { return f.Of == OfEvent })
	}}
	eventTable = table{make: func() []*Field { return fieldsInOrder(eventOrder) }}
)

// fieldsInOrder returns the fields of a space-separated list of names.
func fieldsInOrder(names string) []*Field {
	var all []*Field
	for name := range strings.FieldsSeq(names) {
		i := slices.IndexFunc(fieldTable.get(), func(f *Field) bool { return f.Name == name })
		all = append(all, fieldTable.get()[i])
	}
	return all
}
