package whose

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// This file reads JSON back by the same table of fields.

// EventVersion is the version in every line of events. It rises when a key
// changes its meaning or goes; new keys leave it as it is.
const EventVersion = 1

// ParseSession reads a session from a JSON object: a line of the format jsonl, or
// an element of "sessions" in the format json. It ignores unknown keys, since later
// versions add some. Invalid UTF-8 was written as U+FFFD and stays so.
//
// The error names the key and quotes its value.
func ParseSession(text []byte) (Session, error) {
	var s Session
	var life Lifetime
	object, err := parseObject(text)
	if err != nil {
		return Session{}, fmt.Errorf("parse session: %w", err)
	}
	row := Row{Session: &s, Life: &life, Event: new(Event)}
	if err := parseSession(object, row); err != nil {
		return Session{}, fmt.Errorf("parse session: %w", err)
	}
	if life != (Lifetime{}) {
		s.Life = &life
	}
	return s, nil
}

// ParseEvent reads an event from a line of the format jsonl of whose watch, in the
// way of [ParseSession]. A line with another [EventVersion] is an error.
func ParseEvent(text []byte) (Event, error) {
	var e Event
	object, err := parseObject(text)
	if err == nil {
		err = parseEvent(object, e.Row())
	}
	if err != nil {
		return Event{}, fmt.Errorf("parse event: %w", err)
	}
	if e.Kind.Ends() && e.Closed.IsZero() {
		e.Closed = e.Time
	}
	return e, nil
}

// ParseCoverage reads a coverage from a JSON object: the "coverage" of the format
// json. It ignores unknown keys. Counts of states beside the answer
// ([Coverage].OtherStates) are not in it.
func ParseCoverage(text []byte) (Coverage, error) {
	var v struct {
		Source     string         `json:"source"`
		Pinned     bool           `json:"pinned"`
		Sessions   int            `json:"sessions"`
		Owned      *int           `json:"owned"`
		Ownerless  map[string]int `json:"ownerless"`
		Processes  int            `json:"processes"`
		Namespaces int            `json:"namespaces"`
		Partial    Gaps           `json:"partial"`
		Duration   int64          `json:"duration"`
	}
	if err := json.Unmarshal(text, &v); err != nil {
		return Coverage{}, fmt.Errorf("parse coverage: %w", err)
	}
	c := Coverage{
		Source: v.Source, Pinned: v.Pinned, Sessions: v.Sessions, OwnersAsked: v.Owned != nil,
		Processes: v.Processes, Namespaces: v.Namespaces, Gaps: v.Partial, Duration: time.Duration(v.Duration) * time.Microsecond,
	}
	if v.Owned != nil {
		c.Owned = *v.Owned
	}
	for name, n := range v.Ownerless {
		var r uint8
		if err := reasonNames.parse("reason", name, &r); err != nil {
			return Coverage{}, fmt.Errorf("parse coverage: %w", err)
		}
		c.Ownerless[r] = n
	}
	return c, nil
}

// A jsonObject is a JSON object whose values are not read yet.
type jsonObject map[string]json.RawMessage

func parseObject(text []byte) (jsonObject, error) {
	var object jsonObject
	if err := json.Unmarshal(text, &object); err != nil {
		return nil, fmt.Errorf("%s: want a JSON object: %w", excerpt(text), err)
	}
	return object, nil
}

// object returns the object of a key, empty where there is none.
func (o jsonObject) object(key string) (jsonObject, error) {
	text, ok := o[key]
	if !ok {
		return nil, nil
	}
	inner, err := parseObject(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return inner, nil
}

func parseEvent(object jsonObject, row Row) error {
	if version, ok := object["version"]; ok && string(version) != strconv.Itoa(EventVersion) {
		return fmt.Errorf("version: %s: want %d, the version that is known here", excerpt(version), EventVersion)
	}
	for _, f := range EventFields() {
		holder, key := object, f.EventKey
		if name, inner, nested := strings.Cut(f.EventKey, "."); nested {
			var err error
			if holder, err = object.object(name); err != nil {
				return err
			}
			key = inner
		}
		beside := f.row
		if beside.setBeside != nil {
			beside.set = beside.setBeside
		}
		if err := parseField(holder, key, f, &beside, row); err != nil {
			return err
		}
	}
	session, err := object.object("session")
	if err != nil || session == nil {
		return err
	}
	return parseSession(session, row)
}

func parseSession(object jsonObject, row Row) error {
	row.Session.Unknown = FactUID | FactRecvQueue | FactSendQueue | FactV6Only // unless it is read
	for _, f := range Fields() {
		if f.PerOwner() {
			continue
		}
		if err := parseField(object, f.JSONKey(), f, &f.row, row); err != nil {
			return err
		}
	}
	if s := row.Session; s.Family != IPv6 || !s.IsListener() {
		s.Unknown &^= FactV6Only // it does not apply
	}
	var err error
	if row.Session.Owners, err = parseOwners(object, "owners", OfOwner); err != nil {
		return err
	}
	row.Session.Peer, err = parseOwners(object, "peer", OfPeer)
	return err
}

// parseOwners reads a list of owners; nil where there is none.
func parseOwners(object jsonObject, key string, of Group) ([]Owner, error) {
	text, ok := object[key]
	if !ok {
		return nil, nil
	}
	var list []jsonObject
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("%s: %s: want a list of objects: %w", key, excerpt(text), err)
	}
	if len(list) == 0 {
		return nil, nil
	}
	owners := make([]Owner, len(list))
	for i := range list {
		owners[i].Process = new(Process)
		for _, f := range Fields() {
			if f.Of != of {
				continue
			}
			if err := parseField(list[i], f.JSONKey(), f, &f.owner, &owners[i]); err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
		}
	}
	return owners, nil
}

// parseField reads the value of one key, if it is there, into t.
func parseField[T any](object jsonObject, key string, f *Field, a *access[T], t T) error {
	text, ok := object[key]
	if !ok {
		return nil
	}
	v, err := parseValue(text, f)
	if err != nil {
		return fmt.Errorf("%s: %s: %w", key, excerpt(text), err)
	}
	a.set(t, &v)
	if f.Kind != KindNumber {
		return nil
	}
	if n, ok := a.num(t); ok && n != v.Num {
		return fmt.Errorf("%s: %s: too large", key, excerpt(text))
	}
	return nil
}

// parseValue reads a value of the field from JSON.
func parseValue(text json.RawMessage, f *Field) (v Value, err error) {
	v.Kind = f.Kind
	switch f.Kind {
	case KindText, KindName:
		err = json.Unmarshal(text, &v.Text)
		if err == nil && f.Kind == KindName && f.CodeOf(v.Text) == 0 {
			return v, fmt.Errorf("want one of %s", strings.Join(f.Values, ", "))
		}
	case KindAddr:
		var s string
		if err = json.Unmarshal(text, &s); err == nil {
			v.Addr, err = netip.ParseAddr(s)
		}
	case KindTime, KindInstant:
		err = json.Unmarshal(text, &v.Time)
	case KindBool:
		var yes bool
		err = json.Unmarshal(text, &yes)
		v.Num = flag(yes)
	case KindNumbers:
		err = json.Unmarshal(text, &v.List)
	case KindHex:
		var s string
		if err = json.Unmarshal(text, &s); err == nil {
			v.Num, err = ParseHex(s)
		}
	default:
		v.Num, err = parseNumber(text, f.Kind)
	}
	return v, err
}

// parseNumber reads a number of the kind. Durations are in microseconds.
func parseNumber(text json.RawMessage, k Kind) (uint64, error) {
	bits := 64
	if k == KindPort {
		bits = 16
	}
	n, err := strconv.ParseUint(string(text), 10, bits)
	if err != nil {
		return 0, fmt.Errorf("want a whole number of at most %d bits", bits)
	}
	if k != KindDuration {
		return n, nil
	}
	const most = uint64(1<<63-1) / uint64(time.Microsecond)
	if n > most {
		return 0, fmt.Errorf("want at most %d microseconds", most)
	}
	return n * uint64(time.Microsecond), nil
}

// excerpt quotes the beginning of the input.
func excerpt(text []byte) string {
	const most = 64
	if len(text) > most {
		return strconv.Quote(string(text[:most])) + "…"
	}
	return strconv.Quote(string(text))
}
