package store

import (
	"slices"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
)

// What filter.Split leaves of an expression is evaluated in three steps, the cheap
// terms first: those on the few bits of an entry once for each shape of a block, then
// those that need no owners, then the others. All are terms of one "and", so their
// order changes nothing but the time.

// A rest is what is left of a filter. A nil Matcher is met by every session.
type rest struct{ shape, light, whole *filter.Matcher }

// shapeFields are the fields whose values a shape has.
var shapeFields = []string{"proto", "family", "state", "direction", "reason", "end", "by", "errno", "stood_before"}

// lightNeeds are the facts of an entry without owners and names of processes.
const lightNeeds = whose.NeedLife | whose.NeedTCPInfo | whose.NeedDirection | whose.NeedCookie | whose.NeedFlow | whose.NeedUser | whose.NeedNetNSName | whose.NeedSessions

func newRest(e filter.Expr, env filter.Env) rest {
	var shape, light, whole []filter.Expr
	for _, term := range terms(e) {
		switch {
		case onShape(term):
			shape = append(shape, term)
		case filter.Needs(term)&^lightNeeds == 0:
			light = append(light, term)
		default:
			whole = append(whole, term)
		}
	}
	return rest{matcher(shape, env), matcher(light, env), matcher(whole, env)}
}

func matcher(all []filter.Expr, env filter.Env) *filter.Matcher {
	if len(all) == 0 {
		return nil
	}
	return filter.Compile(filter.AllOf(all...), env)
}

// terms returns the expressions that all have to hold.
func terms(e filter.Expr) []filter.Expr {
	and, ok := e.(*filter.And)
	switch {
	case e == nil:
		return nil
	case !ok:
		return []filter.Expr{e}
	}
	var all []filter.Expr
	for _, term := range and.Terms {
		all = append(all, terms(term)...)
	}
	return all
}

// onShape reports whether an expression asks for nothing but fields of a shape.
func onShape(e filter.Expr) bool {
	switch e := e.(type) {
	case *filter.And:
		return !slices.ContainsFunc(e.Terms, func(t filter.Expr) bool { return !onShape(t) })
	case *filter.Or:
		return !slices.ContainsFunc(e.Terms, func(t filter.Expr) bool { return !onShape(t) })
	case *filter.Not:
		return onShape(e.X)
	case *filter.Cond:
		return slices.Contains(shapeFields, e.Field())
	}
	return false
}

// shapes reports for each shape of a block whether its entries may meet the question.
func (a *question) shapes(v *view, admits []bool) []bool {
	admits = admits[:0]
	for _, shape := range v.block.shapes {
		var e entry
		e.setShape(shape)
		ok := a.kinds(&e)
		if ok && a.rest.shape != nil && !a.changed(&e) {
			ok = a.rest.shape.Match(a.session(&e, ""))
		}
		admits = append(admits, ok)
	}
	return admits
}

// kinds reports whether an entry has a protocol, a family and a state of the question.
func (a *question) kinds(e *entry) bool {
	return (a.Protos & a.plan.Protos).Has(e.proto) && (a.Families & a.plan.Families).Has(e.family) && (a.States & a.plan.States).Has(e.stood())
}
