package filter

import "github.com/seed-44df2ae6/whose"

// This file finds the protocols, families and states of an expression.

// sets are the possible protocols, families and states of a session that meets an
// expression.
type sets struct {
	protos   whose.Set[whose.Proto]
	families whose.Set[whose.Family]
	states   whose.Set[whose.State]
}

func everySet() sets { return sets{whose.AllProtos, whose.AllFamilies, whose.AllStates} }

// isEmpty reports whether no session can be so.
func (s sets) isEmpty() bool { return s.protos == 0 || s.families == 0 || s.states == 0 }

func (s sets) and(o sets) sets {
	return sets{s.protos & o.protos, s.families & o.families, s.states & o.states}
}

func (s sets) or(o sets) sets {
	return sets{s.protos | o.protos, s.families | o.families, s.states | o.states}
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
		return setsOfCond(e, positive != e.op.negative())
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
		switch {
		case all:
			joined = joined.and(s)
		case !s.isEmpty():
			joined = joined.or(s)
		}
	}
	return joined
}

// setsOfCond returns the sets of one condition; positive is its own negation
// taken into account.
func setsOfCond(c *Cond, positive bool) sets {
	s := everySet()
	switch c.name {
	case "proto":
		s.protos = condSet(c, positive, whose.AllProtos)
	case "family":
		s.families = condSet(c, positive, whose.AllFamilies)
	case "state":
		s.states = condSet(c, positive, whose.AllStates)
	case "exposure":
		if positive {
			s.states = whose.Listeners // no other session has one
		}
	}
	return s
}

// condSet returns those of all values that a condition holds for or, where
// positive is false, does not hold for.
func condSet[T ~uint8](c *Cond, positive bool, all whose.Set[T]) whose.Set[T] {
	var set whose.Set[T]
	if len(c.values) > 0 {
		set = setOf[T](c, whose.FieldByName(c.name))
	}
	if positive {
		return set
	}
	return all &^ set
}

// pureDimension returns the field that an expression is about where it names no
// other, and this is the protocol, the family or the state; "" for any other
// expression. The sets say all that such an expression says.
func pureDimension(e Expr) string {
	switch e := e.(type) {
	case *Not:
		return pureDimension(e.X)
	case *And:
		return pureTerms(e.Terms)
	case *Or:
		return pureTerms(e.Terms)
	case *Cond:
		switch e.name {
		case "proto", "family", "state":
			return e.name
		}
	}
	return ""
}

func pureTerms(terms []Expr) string {
	name := ""
	for i, t := range terms {
		n := pureDimension(t)
		if n == "" || i > 0 && n != name {
			return ""
		}
		name = n
	}
	return name
}
