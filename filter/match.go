package filter

import (
	"slices"
	"strings"
	"time"

	"github.com/seed-44df2ae6/whose"
)

// This file compiles expressions to closures. The hot loop is Matcher.Match:
// it allocates nothing, and reads of a session what the expression names.

// Env is what the value of an expression depends on beside the session.
type Env struct {
	// SelfNetNS is the inode number of the caller's network namespace, for
	// "netns self". Zero: not known, and no session is in it.
	SelfNetNS uint32
	// Now is the time from which ages are counted, and its zone that of times
	// written without one. Zero: the time of the call.
	Now time.Time
}

func (env Env) now() time.Time {
	if env.Now.IsZero() {
		return time.Now()
	}
	return env.Now
}

// A Matcher tells which sessions meet an expression. It is safe for
// concurrent use. A nil Matcher is met by every session.
type Matcher struct{ test test }

type test func(s *whose.Session) bool

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
// allocate.
func (m *Matcher) Match(s *whose.Session) bool {
	return m == nil || m.test == nil || m.test(s)
}

func never(*whose.Session) bool { return false }

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
	return func(*whose.Session) bool { return true } // no expression: everything
}

func compileTerms(terms []Expr, env Env) []test {
	tests := make([]test, len(terms))
	for i, t := range terms {
		tests[i] = compile(t, env)
	}
	return tests
}

func negate(t test) test { return func(s *whose.Session) bool { return !t(s) } }

func allTests(tests []test) test {
	if len(tests) == 2 {
		a, b := tests[0], tests[1]
		return func(s *whose.Session) bool { return a(s) && b(s) }
	}
	return func(s *whose.Session) bool {
		for _, t := range tests {
			if !t(s) {
				return false
			}
		}
		return true
	}
}

func anyTest(tests []test) test {
	if len(tests) == 2 {
		a, b := tests[0], tests[1]
		return func(s *whose.Session) bool { return a(s) || b(s) }
	}
	return func(s *whose.Session) bool {
		for _, t := range tests {
			if t(s) {
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
	if t := quickTest(c, f); t != nil {
		return t
	}
	switch {
	case f.Name == "netns":
		return netnsTest(c, env)
	case f.Name == "user":
		return userTest(c, f)
	case f.PerOwner():
		return ownerTest(f, valueTest(c, f, env))
	}
	value := valueTest(c, f, env)
	return func(s *whose.Session) bool { return value(f.Value(s)) }
}

// quickTest returns a test that reads the session itself rather than through
// the table of fields, for the fields that filters name most; else nil. It
// means the same.
func quickTest(c *Cond, f *whose.Field) test {
	switch f.Name {
	case "proto":
		set := setOf(c, f, func(p whose.Proto) string { return p.String() })
		return func(s *whose.Session) bool { return set.Has(uint8(s.Proto)) }
	case "family":
		set := setOf(c, f, func(v whose.Family) string { return v.String() })
		return func(s *whose.Session) bool { return set.Has(uint8(s.Family)) }
	case "state":
		set := setOf(c, f, func(v whose.State) string { return v.String() })
		return func(s *whose.Session) bool { return set.Has(uint8(s.State)) }
	case "direction":
		set := setOf(c, f, func(v whose.Direction) string { return v.String() })
		return func(s *whose.Session) bool { return set.Has(uint8(s.Direction)) }
	case "reason":
		set := setOf(c, f, func(v whose.Reason) string { return v.String() })
		return func(s *whose.Session) bool { return set.Has(uint8(s.Reason)) }
	case "local_port":
		ports := numberTest(c)
		return func(s *whose.Session) bool { return ports(uint64(s.Local.Port())) }
	case "remote_port":
		ports := numberTest(c)
		return func(s *whose.Session) bool { return ports(uint64(s.Remote.Port())) }
	case "local_addr":
		return func(s *whose.Session) bool { return endpointIn(c.values, s.Local) }
	case "remote_addr":
		return func(s *whose.Session) bool { return endpointIn(c.values, s.Remote) }
	case "pid":
		pid := numberTest(c)
		return func(s *whose.Session) bool {
			for i := range s.Owners {
				if p := s.Owners[i].Process; p != nil && pid(uint64(p.PID)) {
					return true
				}
			}
			return false
		}
	case "comm":
		comm := commTest(c)
		return func(s *whose.Session) bool {
			for i := range s.Owners {
				if p := s.Owners[i].Process; p != nil && p.Comm != "" && comm(p.Comm) {
					return true
				}
			}
			return false
		}
	}
	return nil
}

// setOf returns the numbers of the values of a named type that the condition
// holds for, its negation left out.
func setOf[T ~uint8](c *Cond, f *whose.Field, name func(T) string) whose.Set {
	holds := nameTest(c)
	var set whose.Set
	for v := range T(32) {
		if n := name(v); slices.Contains(f.Values, n) && holds(n) {
			set |= whose.SetOf(v)
		}
	}
	return set
}

// ownerTest holds if the value of any owner meets the test.
func ownerTest(f *whose.Field, value func(whose.Value) bool) test {
	return func(s *whose.Session) bool {
		owners := f.OwnersOf(s)
		for i := range owners {
			if owners[i].Process != nil && value(f.OwnerValue(&owners[i])) {
				return true
			}
		}
		return false
	}
}

// netnsTest tells namespaces by number, and by name where one was written.
func netnsTest(c *Cond, env Env) test {
	holds := netnsHolds(c, env)
	return func(s *whose.Session) bool { return holds(s.NetNS, s.NetNSName) }
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

// userTest compares the user's name and, with a number, the user id too.
func userTest(c *Cond, f *whose.Field) test {
	ids := &Cond{name: "uid", op: Eq}
	for _, v := range c.values {
		if n, bad := parseNumber(v.text); c.op.positive() == Eq && bad.isZero() && isDigits(v.text) {
			ids.values = append(ids.values, operand{lo: n, hi: n})
		}
	}
	text, number := textOrMatch(c), numberTest(ids)
	return func(s *whose.Session) bool {
		v := f.Value(s)
		return !v.IsZero() && text(v.Text) || number(uint64(s.UID))
	}
}

// valueTest returns the test of one value of the field. No value meets none.
func valueTest(c *Cond, f *whose.Field, env Env) func(whose.Value) bool {
	switch f.Kind {
	case whose.KindText, whose.KindName:
		text := textOrMatch(c)
		switch {
		case f.Kind == whose.KindName:
			text = nameTest(c)
		case isComm(f):
			text = commTest(c)
		}
		return func(v whose.Value) bool { return !v.IsZero() && text(v.Text) }
	case whose.KindAddr:
		return func(v whose.Value) bool { return addrIn(c.values, v.Addr) }
	case whose.KindTime:
		at := timeTest(c, env)
		return func(v whose.Value) bool { return !v.IsZero() && at(v.Time) }
	case whose.KindNumbers:
		number := numberTest(c)
		return func(v whose.Value) bool {
			for _, n := range v.List {
				if n >= 0 && number(uint64(n)) {
					return true
				}
			}
			return false
		}
	}
	number := numberTest(c)
	return func(v whose.Value) bool { return !v.IsZero() && number(v.Num) }
}

// isComm reports whether the field is the name of a process, which the kernel
// cuts at 15 bytes.
func isComm(f *whose.Field) bool { return f.Name == "comm" || strings.HasSuffix(f.Name, "_comm") }
