package filter

import (
	"strings"

	"github.com/seed-44df2ae6/whose"
)

// An Expr is a parsed filter expression: an *And, *Or, *Not or *Cond. A nil
// Expr means everything. Expressions are not changed after they were made and
// are safe for concurrent use.
type Expr interface {
	// String returns the expression in its plain form, which parses to an
	// equal expression as long as it is not longer than MaxLength.
	String() string

	// expr closes the set of types; bind is how tightly String binds.
	bind() binding
}

type binding uint8

const (
	bindOr binding = iota + 1
	bindAnd
	bindNot
	bindCond
)

// And holds if all of its terms hold. Without terms it holds always.
type And struct{ Terms []Expr }

// Or holds if at least one of its terms holds. Without terms it holds never.
type Or struct{ Terms []Expr }

// Not holds if X does not.
type Not struct{ X Expr }

// A Cond is a condition on one field, or on the fields of both ends. Parse
// makes them; the zero Cond holds never.
type Cond struct {
	// name of the field or pair, as in the table of fields.
	name   string
	op     Op
	values []operand
}

// An Op is an operator of a condition.
type Op uint8

// The operators. Eq and Ne take one value or several, of which one has to be
// met, and ranges and prefixes among them; the others take one.
const (
	Eq Op = iota + 1
	Ne
	Lt
	Le
	Gt
	Ge
	// Match and NoMatch compare with a regular expression.
	Match
	NoMatch
)

var opNames = [...]string{Eq: "=", Ne: "!=", Lt: "<", Le: "<=", Gt: ">", Ge: ">=", Match: "~", NoMatch: "!~"}

// String returns the operator as it is written: "!=".
func (o Op) String() string {
	if int(o) < len(opNames) {
		return opNames[o]
	}
	return ""
}

// negative reports whether the operator is the negation of another.
func (o Op) negative() bool { return o == Ne || o == NoMatch }

// positive returns the operator without its negation.
func (o Op) positive() Op {
	switch o {
	case Ne:
		return Eq
	case NoMatch:
		return Match
	}
	return o
}

// Field returns the name of the field, or of the pair of fields ("port").
func (c *Cond) Field() string { return c.name }

// Op returns the operator.
func (c *Cond) Op() Op { return c.op }

// Values returns the values as String writes them.
func (c *Cond) Values() []string {
	all := make([]string, len(c.values))
	for i, v := range c.values {
		all[i] = string(v.append(nil, c))
	}
	return all
}

// AllOf joins expressions by "and". It leaves out nil ones, and is nil if no other
// remains.
func AllOf(exprs ...Expr) Expr {
	var terms []Expr
	for _, e := range exprs {
		if e != nil {
			terms = append(terms, e)
		}
	}
	switch len(terms) {
	case 0:
		return nil
	case 1:
		return terms[0]
	}
	return &And{Terms: terms}
}

func (*And) bind() binding  { return bindAnd }
func (*Or) bind() binding   { return bindOr }
func (*Not) bind() binding  { return bindNot }
func (*Cond) bind() binding { return bindCond }

// String returns the terms joined by "and".
func (e *And) String() string { return joinTerms(e.Terms, " and ", bindAnd) }

// String returns the terms joined by "or".
func (e *Or) String() string { return joinTerms(e.Terms, " or ", bindOr) }

// String returns "not" and the operand.
func (e *Not) String() string {
	var b strings.Builder
	b.WriteString("not ")
	writeTerm(&b, e.X, bindAnd)
	return b.String()
}

// String returns the condition: "local_port in (80, 443)".
func (c *Cond) String() string {
	dst := append([]byte(c.name), ' ')
	several := len(c.values) > 1
	if c.op.positive() == Eq && (several || len(c.values) == 1 && c.values[0].isSpan()) {
		if c.op == Ne {
			dst = append(dst, "not "...)
		}
		dst = append(dst, "in "...)
	} else {
		dst = append(dst, c.op.String()...)
		dst = append(dst, ' ')
	}
	if several {
		dst = append(dst, '(')
	}
	for i, v := range c.values {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = v.append(dst, c)
	}
	if several {
		dst = append(dst, ')')
	}
	return string(dst)
}

func joinTerms(terms []Expr, glue string, outer binding) string {
	var b strings.Builder
	for i, t := range terms {
		if i > 0 {
			b.WriteString(glue)
		}
		writeTerm(&b, t, outer)
	}
	return b.String()
}

// writeTerm writes e in parentheses unless it binds tighter than outer.
func writeTerm(b *strings.Builder, e Expr, outer binding) {
	switch {
	case e == nil:
	case e.bind() <= outer:
		b.WriteString("(" + e.String() + ")")
	default:
		b.WriteString(e.String())
	}
}

// walk calls f for every condition in e, with whether it stands under an even
// number of negations, its own operator not counted.
func walk(e Expr, positive bool, f func(c *Cond, positive bool)) {
	switch e := e.(type) {
	case *And:
		for _, t := range e.Terms {
			walk(t, positive, f)
		}
	case *Or:
		for _, t := range e.Terms {
			walk(t, positive, f)
		}
	case *Not:
		walk(e.X, !positive, f)
	case *Cond:
		f(e, positive)
	}
}

// A subject is the field of a condition, or both fields of a pair.
type subject struct {
	name   string
	fields []*whose.Field
}

// kind is the kind of the values; both fields of a pair have the same.
func (s *subject) kind() whose.Kind { return s.fields[0].Kind }

// subjectByName finds a field or pair by name or alias, in any case.
func subjectByName(name string) (subject, bool) {
	if f := whose.FieldByName(name); f != nil {
		fields := []*whose.Field{f}
		if f.Name == "container" { // by its name as well as by its id
			fields = append(fields, whose.FieldByName("container_name"))
		}
		return subject{name: f.Name, fields: fields}, true
	}
	for _, p := range whose.Pairs() {
		if strings.EqualFold(p.Name, name) {
			a, b := whose.FieldByName(p.Which[0]), whose.FieldByName(p.Which[1])
			return subject{name: p.Name, fields: []*whose.Field{a, b}}, true
		}
	}
	return subject{}, false
}
