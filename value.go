package whose

import (
	"cmp"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// A Kind is the kind of a field's values. It decides which operators a filter
// may use on the field and how each renderer writes it.
type Kind uint8

// The kinds.
const (
	// KindText: any text, possibly hostile.
	KindText Kind = iota + 1
	// KindName: one of a few known names, as of a state; compared without case.
	KindName
	// KindNumber: an unsigned number.
	KindNumber
	// KindPort: a port number.
	KindPort
	// KindAddr: an address.
	KindAddr
	// KindBytes: a number of bytes.
	KindBytes
	// KindDuration: a span of time; in JSON a number of microseconds.
	KindDuration
	// KindTime: a point in time in steps of 10 ms; in JSON as RFC 3339.
	KindTime
	// KindBool: yes or no.
	KindBool
	// KindNumbers: a list of numbers.
	KindNumbers
	// KindInstant: a point in time in steps of a microsecond; in JSON as RFC 3339.
	KindInstant
	// KindHex: a number of 64 bits, as 16 hexadecimal digits; in JSON a string.
	KindHex
)

var kindNames = enum{
	KindText: "text", KindName: "name", KindNumber: "number", KindPort: "port", KindAddr: "address",
	KindBytes: "bytes", KindDuration: "duration", KindTime: "time", KindBool: "bool", KindNumbers: "numbers", KindInstant: "instant", KindHex: "hex",
}

// String returns the kind's name as the reference pages print it.
func (k Kind) String() string { return kindNames.name(uint8(k)) }

// A Value is the value of one field of one session, made without allocation.
// Kind names the field that holds it. The zero value, with Kind 0, is no value: the
// fact does not apply to the session or is unknown.
type Value struct {
	Kind Kind
	// Text holds KindText and KindName.
	Text string
	// Num holds KindNumber, KindPort, KindBytes and KindHex; KindDuration in
	// nanoseconds; KindBool as 0 or 1.
	Num uint64
	// Addr holds KindAddr.
	Addr netip.Addr
	// Time holds KindTime and KindInstant.
	Time time.Time
	// List holds KindNumbers.
	List []int32
}

// IsZero reports whether there is no value.
func (v Value) IsZero() bool { return v.Kind == 0 }

// Compare orders two values of the same kind: -1 where v comes first, 1 where o
// does, 0 where they are equal. No value comes after every other.
func (v *Value) Compare(o *Value) int {
	switch {
	case v.IsZero() && o.IsZero():
		return 0
	case v.IsZero():
		return 1
	case o.IsZero():
		return -1
	}
	switch v.Kind {
	case KindText, KindName:
		return cmp.Compare(v.Text, o.Text)
	case KindAddr:
		return v.Addr.Compare(o.Addr)
	case KindTime, KindInstant:
		return v.Time.Compare(o.Time)
	case KindNumbers:
		return slices.Compare(v.List, o.List)
	}
	return cmp.Compare(v.Num, o.Num)
}

// Append appends the plain text of the value to dst: no unit, no quoting and
// nothing made safe.
func (v Value) Append(dst []byte) []byte {
	switch v.Kind {
	case KindText, KindName:
		return append(dst, v.Text...)
	case KindNumber, KindPort, KindBytes:
		return strconv.AppendUint(dst, v.Num, 10)
	case KindHex:
		return AppendHex(dst, v.Num)
	case KindAddr:
		return v.Addr.AppendTo(dst)
	case KindDuration:
		return append(dst, time.Duration(v.Num).String()...)
	case KindTime:
		return v.Time.AppendFormat(dst, TimeFormat)
	case KindInstant:
		return v.Time.AppendFormat(dst, InstantFormat)
	case KindBool:
		return strconv.AppendBool(dst, v.Num != 0)
	case KindNumbers:
		for i, n := range v.List {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = strconv.AppendInt(dst, int64(n), 10)
		}
	}
	return dst
}

// AppendHex appends a number as the 16 digits of a [KindHex].
func AppendHex(dst []byte, n uint64) []byte {
	const digits = "0123456789abcdef"
	for shift := 60; shift >= 0; shift -= 4 {
		dst = append(dst, digits[n>>shift&15])
	}
	return dst
}

// ParseHex reads the number of a [KindHex]: at most 16 hexadecimal digits, in any
// case.
func ParseHex(s string) (uint64, error) {
	if n, err := strconv.ParseUint(s, 16, 64); err == nil && len(s) <= 16 {
		return n, nil
	}
	return 0, errHex
}

var errHex = errors.New("want 16 hexadecimal digits")

// TimeFormat is the layout of [KindTime]: RFC 3339 in steps of 10 ms, the precision
// of /proc.
const TimeFormat = "2006-01-02T15:04:05.00Z07:00"

// InstantFormat is the layout of [KindInstant]: RFC 3339 in microseconds.
const InstantFormat = "2006-01-02T15:04:05.000000Z07:00"
