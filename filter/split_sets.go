package filter

import (
	"slices"

	"github.com/seed-44df2ae6/whose"
)

// This file finds what an expression says of protocols, families and states.

// The dimensions of sets.
const (
	dimProto = iota
	dimFamily
	dimState
	numDims
)

// sets are the protocols, families and states that a session can have that
// meets an expression.
type sets [numDims]whose.Set

// isEmpty reports whether no session can be so.
func (s sets) isEmpty() bool { return slices.Contains(s[:], 0) }

// dimOf returns the dimension of a field, false for a field that has none.
func dimOf(name string) (int, bool) {
	switch name {
	case "proto":
		return dimProto, true
	case "family":
		return dimFamily, true
	case "state":
		return dimState, true
	}
	return 0, false
}

// condSet returns the values that a condition with a dimension holds for, its
// negation left out.
func condSet(c *Cond) whose.Set {
	if len(c.values) == 0 {
		return 0
	}
	return setOf(c, whose.FieldByName(c.name))
}

// universe returns all values that the field has.
func universe(name string) whose.Set {
	c := &Cond{name: name, op: Eq}
	for _, v := range whose.FieldByName(name).Values {
		c.values = append(c.values, operand{text: v})
	}
	return condSet(c)
}

func everySet() sets {
	return sets{universe("proto"), universe("family"), universe("state")}
}

// setsOf returns the sets of an expression or, where positive is false, of its
// negation. They may be larger than what can really be, never smaller.
func setsOf(e Expr, positive bool) sets {
	switch e := e.(type) {
	case *Not:
		return setsOf(e.X, !positive)
	case *And:
		return setsOfTerms(e.Terms, positive, positive)
	case *Or:
		return setsOfTerms(e.Terms, positive, !positive)
	case *Cond:
		all := everySet()
		if dim, ok := dimOf(e.name); ok {
			set := condSet(e)
			if positive == e.op.negative() {
				set = all[dim] &^ set
			}
			all[dim] = set
		}
		return all
	}
	return everySet()
}

// setsOfTerms joins those of the terms, where all or where any has to hold.
func setsOfTerms(terms []Expr, positive, all bool) sets {
	var joined sets
	if all {
		joined = everySet()
	}
	for _, t := range terms {
		s := setsOf(t, positive)
		if !all && s.isEmpty() {
			continue
		}
		for dim := range joined {
			if all {
				joined[dim] &= s[dim]
			} else {
				joined[dim] |= s[dim]
			}
		}
	}
	return joined
}

// pureSet returns the values that meet an expression, or its negation, which
// names nothing but one dimension; ok is false for any other.
func pureSet(e Expr, positive bool) (dim int, set whose.Set, ok bool) {
	switch e := e.(type) {
	case *Not:
		return pureSet(e.X, !positive)
	case *And:
		return pureTerms(e.Terms, positive, positive)
	case *Or:
		return pureTerms(e.Terms, positive, !positive)
	case *Cond:
		dim, ok = dimOf(e.name)
		if !ok {
			return 0, 0, false
		}
		return dim, setsOf(e, positive)[dim], true
	}
	return 0, 0, false
}

func pureTerms(terms []Expr, positive, all bool) (dim int, set whose.Set, ok bool) {
	for i, t := range terms {
		d, s, ok := pureSet(t, positive)
		switch {
		case !ok || i > 0 && d != dim:
			return 0, 0, false
		case i == 0:
			dim, set = d, s
		case all:
			set &= s
		default:
			set |= s
		}
	}
	return dim, set, len(terms) > 0
}
