package whose

import (
	"net/netip"
	"time"
)

// A Row is the value from which fields are read: a session, its life, and its
// event. Get one from [Session.Row] or [Event.Row].
type Row struct {
	Session *Session
	// Life and Event are never nil; unknown facts are zero. Do not write through
	// them.
	Life  *Lifetime
	Event *Event
}

var (
	noLife  Lifetime
	noEvent Event
)

// HasLife reports whether anything is known of the session's life.
func (r Row) HasLife() bool { return r.Life != &noLife }

// Row returns the session as a row for [Field.Value].
func (s *Session) Row() Row {
	if s.Life == nil {
		return Row{Session: s, Life: &noLife, Event: &noEvent}
	}
	return Row{Session: s, Life: s.Life, Event: &noEvent}
}

// Row returns the event as a row for [Field.Value].
func (e *Event) Row() Row { return Row{Session: &e.Session, Life: &e.Lifetime, Event: e} }

// An access reads and writes one fact of a T, a Row or an owner. It has the
// getter for the field's kind; set writes back its value. The zero value has
// none: the field is no fact of a T.
//
// A getter says "no value" by "", false, an invalid address or the zero time. A
// list is a value though it is empty.
type access[T any] struct {
	text func(T) string // KindText
	code func(T) uint8  // KindName, by its number
	num  func(T) (uint64, bool)
	addr func(T) netip.Addr
	time func(T) time.Time
	list func(T) []int32
	set  func(T, *Value)
	// setBeside writes back a value beside the session of an event. Nil: as set.
	setBeside func(T, *Value)
}

// value reads the fact as a Value.
func (a *access[T]) value(f *Field, t T) Value {
	switch {
	case a.code != nil:
		return valueUnless(f.names.name(a.code(t)), "", Value{Kind: f.Kind})
	case a.text != nil:
		return valueUnless(a.text(t), "", Value{Kind: f.Kind})
	case a.num != nil:
		if n, ok := a.num(t); ok {
			return Value{Kind: f.Kind, Num: n}
		}
	case a.addr != nil:
		if addr := a.addr(t); addr.IsValid() {
			return Value{Kind: f.Kind, Addr: addr}
		}
	case a.time != nil:
		if at := a.time(t); !at.IsZero() {
			return Value{Kind: f.Kind, Time: at}
		}
	case a.list != nil:
		return Value{Kind: f.Kind, List: a.list(t)}
	}
	return Value{}
}

// valueUnless returns v with the text, or no value if the text is none.
func valueUnless(text, none string, v Value) Value {
	if text == none {
		return Value{}
	}
	v.Text = text
	return v
}

// textAt makes the access to text.
func textAt[T any](at func(T) *string) access[T] {
	return access[T]{
		text: func(t T) string { return *at(t) },
		set:  func(t T, v *Value) { *at(t) = v.Text },
	}
}

// nameAt makes the access to one of a few names.
func nameAt[T any, N ~uint8](names enum, at func(T) *N) access[T] {
	return access[T]{
		code: func(t T) uint8 { return uint8(*at(t)) },
		set:  func(t T, v *Value) { *at(t) = N(names.number(v.Text)) },
	}
}

// numAt makes the access to a number of which 0 is a value like any other.
func numAt[T any, N ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~int64](at func(T) *N) access[T] {
	return access[T]{
		num: func(t T) (uint64, bool) { return uint64(*at(t)), true },
		set: func(t T, v *Value) { *at(t) = N(v.Num) },
	}
}

// knownAt makes the access to a number; 0 means unknown.
func knownAt[T any, N ~uint32 | ~uint64](at func(T) *N) access[T] {
	return access[T]{
		num: func(t T) (uint64, bool) { n := *at(t); return uint64(n), n != 0 },
		set: func(t T, v *Value) { *at(t) = N(v.Num) },
	}
}

// timeAt makes the access to a point in time.
func timeAt[T any](at func(T) *time.Time) access[T] {
	return access[T]{
		time: func(t T) time.Time { return *at(t) },
		set:  func(t T, v *Value) { *at(t) = v.Time },
	}
}
