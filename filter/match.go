package filter

import (
	"slices"
	"strings"
	"time"

	"github.com/seed-44df2ae6/whose"
)

// This file compiles expressions to closures. The hot loop is Matcher.Match:
// it allocates nothing, and reads only the facts named in the expression.

// An Env holds the surroundings of an evaluation beside the session.
type Env struct {
	// SelfNetNS is the inode number of the caller's network namespace, for
	// "netns self". Zero: not known, and no session is in it.
	SelfNetNS uint32
	// Now is the end of ages, and its zone is the zone of times without one. Zero:
	// the time of the call.
	Now time.Time
	// Clock, if not nil, is the end of ages at each evaluation, in place of Now: for
	// a filter that goes on.
	Clock func() time.Time
	// Users are the user ids of names, for conditions on a user: a name of a user
	// may be another than the session's ([Users]). Nil: names are compared alone.
	Users map[string]uint32
}

func (env Env) now() time.Time {
	if env.Now.IsZero() {
		return time.Now()
	}
	return env.Now
}

// A Matcher evaluates an expression on sessions and events. It is safe for
// concurrent use. A nil Matcher is met by every session.
type Matcher struct{ test test }

type test func(r whose.Row) bool

// Compile makes an expression ready to be evaluated. Nil is met by every
// session.
func Compile(e Expr, env Env) *Matcher {
	if e == nil {
		return &Matcher{}
	}
	env.Now = env.now()
	return &Matcher{test: compile(e, env)}
}

// Match reports whether the session meets the expression. It does not
// allocate. A condition on an event is met by no session.
func (m *Matcher) Match(s *whose.Session) bool {
	return m == nil || m.test == nil || m.test(s.Row())
}

// MatchEvent reports whether the event and its session meet the expression. It
// does not allocate.
func (m *Matcher) MatchEvent(e *whose.Event) bool {
	return m == nil || m.test == nil || m.test(e.Row())
}

func never(whose.Row) bool { return false }

func compile(e Expr, env Env) test {
	switch e := e.(type) {
	case *And:
		return allTests(compileTerms(e.Terms, env))
	case *Or:
		return anyTest(compileTerms(e.Terms, env))
	case *Not:
		return negate(compile(e.X, env))
	case *Cond:
		t := compileCond(e, env)
		if e.op.negative() {
			return negate(t)
		}
		return t
	}
	return func(whose.Row) bool { return true } // no expression: everything
}

func compileTerms(terms []Expr, env Env) []test {
	tests := make([]test, len(terms))
	for i, t := range terms {
		tests[i] = compile(t, env)
	}
	return tests
}

func negate(t test) test { return func(r whose.Row) bool { return !t(r) } }

func allTests(tests []test) test {
	if len(tests) == 2 {
		a, b := tests[0], tests[1]
		return func(r whose.Row) bool { return a(r) && b(r) }
	}
	return func(r whose.Row) bool {
		for _, t := range tests {
			if !t(r) {
				return false
			}
		}
		return true
	}
}

func anyTest(tests []test) test {
	if len(tests) == 2 {
		a, b := tests[0], tests[1]
		return func(r whose.Row) bool { return a(r) || b(r) }
	}
	return func(r whose.Row) bool {
		for _, t := range tests {
			if t(r) {
				return true
			}
		}
		return false
	}
}

// compileCond compiles a condition without its negation, if it has one.
func compileCond(c *Cond, env Env) test {
	subj, ok := subjectByName(c.name)
	if !ok || len(c.values) == 0 {
		return never
	}
	tests := make([]test, len(subj.fields))
	for i, f := range subj.fields {
		tests[i] = fieldTest(c, f, env)
	}
	if len(tests) == 1 {
		return tests[0]
	}
	return anyTest(tests)
}

func fieldTest(c *Cond, f *whose.Field, env Env) test {
	switch {
	case f.Name == "netns":
		return netnsTest(c, env)
	case f.Name == "user":
		return userTest(c, env)
	case f.Name == "owner_user":
		return ownerTest(f, ownerUserTest(c, env))
	case f.Name == "container":
		return ownerTest(f, containerTest(c, f))
	case f.PerOwner():
		return ownerTest(f, ownerValueTest(c, f, env))
	}
	return rowTest(c, f, env)
}

// rowTest returns the test of a fact of the row. It makes no Value of it, since
// Match spends its time here.
func rowTest(c *Cond, f *whose.Field, env Env) test {
	get := f.Getters()
	switch f.Kind {
	case whose.KindName:
		set := setOf[uint8](c, f)
		return func(r whose.Row) bool { return set.Has(get.Code(r)) }
	case whose.KindText:
		text := textOrMatch(c)
		return func(r whose.Row) bool { s := get.Text(r); return s != "" && text(s) }
	case whose.KindAddr:
		if f.Name == "local_addr" {
			return func(r whose.Row) bool { return endpointIn(c.values, r.Session.Local) }
		}
		return func(r whose.Row) bool { return endpointIn(c.values, r.Session.Remote) }
	case whose.KindTime, whose.KindInstant:
		at := timeTest(c, env)
		return func(r whose.Row) bool { t := get.Time(r); return !t.IsZero() && at(t) }
	}
	number := numberTest(c)
	return func(r whose.Row) bool { n, ok := get.Num(r); return ok && number(n) }
}

// setOf returns the numbers of the values of a KindName field that the condition
// holds for, its negation left out.
func setOf[T ~uint8](c *Cond, f *whose.Field) whose.Set[T] {
	holds := nameTest(c)
	var set whose.Set[T]
	for _, name := range f.Values {
		if holds(name) {
			set |= whose.SetOf(T(f.CodeOf(name)))
		}
	}
	return set
}

// ownerTest holds if any owner meets the test.
func ownerTest(f *whose.Field, holds func(*whose.Owner) bool) test {
	return func(r whose.Row) bool {
		owners := f.OwnersOf(r.Session)
		for i := range owners {
			if owners[i].Process != nil && holds(&owners[i]) {
				return true
			}
		}
		return false
	}
}

// netnsTest compares namespaces by number, and by name if the filter has one.
func netnsTest(c *Cond, env Env) test {
	holds := netnsHolds(c, env)
	return func(r whose.Row) bool { return holds(r.Session.NetNS, r.Session.NetNSName) }
}

func netnsHolds(c *Cond, env Env) func(inode uint32, name string) bool {
	var inodes []uint32
	named := &Cond{name: "netns_name", op: Eq}
	for _, v := range c.values {
		switch {
		case v.named:
			named.values = append(named.values, v)
		case v.self:
			inodes = append(inodes, env.SelfNetNS)
		default:
			inodes = append(inodes, uint32(v.lo))
		}
	}
	text := textTest(named)
	return func(inode uint32, name string) bool {
		return inode != 0 && slices.Contains(inodes, inode) || name != "" && text(name)
	}
}

// containerTest compares ids of containers. Of a whole id as much has to agree as
// is shown of it.
func containerTest(c *Cond, f *whose.Field) func(*whose.Owner) bool {
	const whole, shown = 64, 12
	short := &Cond{name: c.name, op: c.op}
	for _, v := range c.values {
		mark, id := "", v.text
		if whose.Claimed(id) {
			mark, id = whose.ByUser, strings.TrimPrefix(id, whose.ByUser)
		}
		if !v.glob && c.op.positive() == Eq && len(id) == whole && strings.Trim(id, "0123456789abcdef") == "" {
			v.text = mark + id[:shown]
		}
		short.values = append(short.values, v)
	}
	text := textOrMatch(short)
	return func(o *whose.Owner) bool { s := f.OwnerText(o); return s != "" && text(s) }
}

// userTest compares the user's name and, with a number or a name whose number is
// known, the user id too.
func userTest(c *Cond, env Env) test {
	text, number := textOrMatch(c), numberTest(userIDs(c, env))
	return func(r whose.Row) bool {
		s := r.Session
		return s.User != "" && text(s.User) || !s.Unknown.Has(whose.FactUID) && number(uint64(s.UID))
	}
}

// ownerUserTest is userTest for the user of an owner.
func ownerUserTest(c *Cond, env Env) func(*whose.Owner) bool {
	text, number := textOrMatch(c), numberTest(userIDs(c, env))
	return func(o *whose.Owner) bool { return o.User != "" && (text(o.User) || number(uint64(o.UID))) }
}

// userIDs returns the condition on the user id that belongs to one on the user.
func userIDs(c *Cond, env Env) *Cond {
	ids := &Cond{name: "uid", op: Eq}
	if c.op.positive() != Eq {
		return ids
	}
	for _, v := range c.values {
		if n, bad := parseNumber(v.text); bad.isZero() && isDigits(v.text) {
			ids.values = append(ids.values, operand{lo: n, hi: n})
		} else if uid, known := env.Users[v.text]; known && !v.glob {
			ids.values = append(ids.values, operand{lo: uint64(uid), hi: uint64(uid)})
		}
	}
	return ids
}

// ownerValueTest returns the test of a fact of an owner. No value meets none.
func ownerValueTest(c *Cond, f *whose.Field, env Env) func(*whose.Owner) bool {
	switch f.Kind {
	case whose.KindText:
		text := textOrMatch(c)
		if isComm(f) {
			text = commTest(c)
		}
		return func(o *whose.Owner) bool { s := f.OwnerText(o); return s != "" && text(s) }
	case whose.KindTime:
		at := timeTest(c, env)
		return func(o *whose.Owner) bool { v := f.OwnerValue(o); return !v.IsZero() && at(v.Time) }
	case whose.KindNumbers:
		number := numberTest(c)
		return func(o *whose.Owner) bool {
			return slices.ContainsFunc(f.OwnerValue(o).List, func(n int32) bool { return n >= 0 && number(uint64(n)) })
		}
	}
	number := numberTest(c)
	return func(o *whose.Owner) bool { n, ok := f.OwnerNum(o); return ok && number(n) }
}

// isComm reports whether the field is the name of a process, which the kernel
// cuts at 15 bytes.
func isComm(f *whose.Field) bool { return f.Name == "comm" || strings.HasSuffix(f.Name, "_comm") }
