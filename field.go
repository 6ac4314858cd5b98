package whose

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// A Group says what a field is a fact of.
type Group uint8

// The groups.
const (
	// OfSession: the session itself.
	OfSession Group = iota + 1
	// OfOwner: each of its owners; in JSON inside "owners".
	OfOwner
	// OfPeer: each owner of the other end; in JSON inside "peer".
	OfPeer
	// OfTCP: what only TCP has, shown where asked for.
	OfTCP
	// OfLife: the life of a session, see [Lifetime]. An event has it beside its
	// session.
	OfLife
	// OfEvent: an event alone, and no session without one.
	OfEvent
)

// A Field is one column: a fact of a session, of its owners, of its life or of
// an event. Tables, JSON, CSV, templates, filters, completion and the reference
// pages are loops over the table of fields, and what was written in JSON is read
// back by it.
type Field struct {
	// Name is the name in filters, in --fields and, where Key is empty, in JSON.
	Name string
	// Key is the JSON key inside its object, where it is not Name.
	Key string
	// Aliases are shorter names for filters and --fields.
	Aliases []string
	// Title heads the column in tables.
	Title string
	// Unit of the values in JSON, empty for none.
	Unit string
	// Doc says in one sentence what it means.
	Doc string
	// Kind of the values.
	Kind Kind
	// Of says what it is a fact of.
	Of Group
	// Needs is what must be collected for it.
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

// Value returns the field's value of a row. It is the zero Value for a field of
// owners.
func (f *Field) Value(r Row) Value { return f.row.value(f, r) }

// OwnerValue returns the field's value of one owner. It is the zero Value for
// a field of the session.
func (f *Field) OwnerValue(o *Owner) Value { return f.owner.value(f, o) }

// Getters read one fact of a row, each for fields of certain kinds, without making
// a Value of it: for the loops that read millions. Those that are not for the
// field's kind are nil.
type Getters struct {
	// Text is for KindText; "" is no value.
	Text func(Row) string
	// Code is for KindName, and returns the number of the name; 0 is no value. See
	// [Field.CodeName].
	Code func(Row) uint8
	// Num is for all kinds of numbers: a duration in nanoseconds, a bool as 0 or 1.
	// It returns false where there is no value.
	Num func(Row) (uint64, bool)
	// Addr is for KindAddr; the zero Addr is no value.
	Addr func(Row) netip.Addr
	// Time is for KindTime and KindInstant; the zero time is no value.
	Time func(Row) time.Time
}

// Getters returns the field's getters; none for a field of owners.
func (f *Field) Getters() Getters {
	return Getters{f.row.text, f.row.code, f.row.num, f.row.addr, f.row.time}
}

// CodeName returns the name of a number of [Getters.Code], "" for 0.
func (f *Field) CodeName(code uint8) string { return f.names.name(code) }

// CodeOf returns the number of a name, 0 where the field has no such name.
func (f *Field) CodeOf(name string) uint8 { return f.names.number(name) }

// OwnerText returns an owner's value of a KindText field, "" for none.
func (f *Field) OwnerText(o *Owner) string {
	if f.owner.text == nil {
		return ""
	}
	return f.owner.text(o)
}

// OwnerNum returns an owner's value of a KindNumber field. ok is false where
// there is none.
func (f *Field) OwnerNum(o *Owner) (n uint64, ok bool) {
	if f.owner.num == nil {
		return 0, false
	}
	return f.owner.num(o)
}

// OwnersOf returns the owners whose values the field has: those of the session
// or, for a field of the peer, those of the other end.
func (f *Field) OwnersOf(s *Session) []Owner {
	if f.Of == OfPeer {
		return s.Peer
	}
	return s.Owners
}

// A Pair is a name that stands for two fields at once: "port" for the port on
// either side.
type Pair struct {
	Name  string
	Doc   string
	Which [2]string
}

// Pairs are the names that filters understand for either side.
var pairs = [...]Pair{
	{Name: "addr", Doc: "The address on either side.", Which: [2]string{"local_addr", "remote_addr"}},
	{Name: "port", Doc: "The port on either side.", Which: [2]string{"local_port", "remote_port"}},
}

// Pairs returns the names that stand for the fields of both ends.
func Pairs() []Pair { return pairs[:] }

// Fields returns the fields of sessions in the order in which they are
// documented and written. The table is shared: do not change it.
func Fields() []*Field { return sessionTable }

// EventFields returns the fields that every event has beside its session, in the
// order in which they are written: those with an EventKey. The table is shared:
// do not change it.
func EventFields() []*Field { return eventTable }

// AllFields returns the fields of sessions and those of events alone.
func AllFields() []*Field { return fieldTable }

// FieldByName returns the field of that name or alias, in any case, or nil.
func FieldByName(name string) *Field {
	for _, f := range fieldTable {
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

var (
	fieldTable = slices.Concat(sessionFields(), ownerFields(), peerFields(), tcpFields(), lifeFields(), eventFields())
	// The tables that are parts of it.
	sessionTable = slices.DeleteFunc(slices.Clone(fieldTable), func(f *Field) bool { return f.Of == OfEvent })
	eventTable   = fieldsInOrder(eventOrder)
)

// fieldsInOrder returns the fields of a space-separated list of names.
func fieldsInOrder(names string) []*Field {
	var all []*Field
	for name := range strings.FieldsSeq(names) {
		i := slices.IndexFunc(fieldTable, func(f *Field) bool { return f.Name == name })
		all = append(all, fieldTable[i])
	}
	return all
}
