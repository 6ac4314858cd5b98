package whose

import (
	"slices"
	"strings"
)

// An Order puts sessions in order by a field. The zero value is no order.
type Order struct {
	Field *Field
	// Down puts the largest value first.
	Down bool
}

// ParseOrder reads the name of a field, with "-" before it for the largest value
// first: "pid", "-rtt". ok is false if there is no such field.
func ParseOrder(name string) (o Order, ok bool) {
	bare, down := strings.CutPrefix(name, "-")
	f := FieldByName(bare)
	return Order{f, down}, f != nil
}

// Value returns the session's value in this order. A field with a value for each
// owner counts by the first owner. The result is absent where the session has none.
func (o Order) Value(s *Session) Value {
	if !o.Field.PerOwner() {
		return o.Field.Value(s.Row())
	}
	owners := o.Field.OwnersOf(s)
	if len(owners) == 0 {
		return Value{}
	}
	v := o.Field.OwnerValue(&owners[0])
	v.List = slices.Clone(v.List)
	return v
}

// Compare orders two values as [Value.Compare] does. No value comes last, either way.
func (o Order) Compare(a, b *Value) int {
	c := a.Compare(b)
	if o.Down && !a.IsZero() && !b.IsZero() {
		return -c
	}
	return c
}
