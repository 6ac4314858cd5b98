package filter

import (
	"math"
	"slices"

	"github.com/seed-44df2ae6/whose"
)

// This file finds which processes have to be looked into. Leaving processes
// out changes the owners that a session is seen with, so two things have to
// be sure: every session that meets the expression has an owner among those
// that are looked into, and every condition on owners, negated or not, comes
// out the same with these owners alone.

// maxPIDs is how many processes a Query names at most.
const maxPIDs = 256

// ownersOf returns the predicate and the list of processes for a Plan; nil
// where every process has to be looked into.
func ownersOf(e Expr) (process func(pid uint32, comm string) bool, pids []uint32) {
	if !impliesOwner(e, true) {
		return nil, nil
	}
	possible, byPID := true, true
	var tests []func(uint32, string) bool
	walk(e, true, func(c *Cond, _ bool) {
		switch subj, ok := subjectByName(c.name); {
		case !ok || len(c.values) == 0:
		case c.name == "pid" && c.op.positive() == Eq:
			pids, byPID = appendPIDs(pids, c.values, byPID)
			tests = append(tests, pidTest(c))
		case c.name == "pid", c.name == "peer_pid":
			tests, byPID = append(tests, pidTest(c)), false
		case c.name == "comm", c.name == "peer_comm":
			comm := commTest(c)
			tests = append(tests, func(_ uint32, name string) bool { return name != "" && comm(name) })
			byPID = false
		case c.name == "reason", subj.fields[0].PerOwner():
			possible = false // depends on owners that pid and name do not tell
		}
	})
	switch {
	case !possible:
		return nil, nil
	case !byPID || len(pids) == 0:
		pids = nil
	}
	slices.Sort(pids)
	return func(pid uint32, comm string) bool {
		for _, t := range tests {
			if t(pid, comm) {
				return true
			}
		}
		return false
	}, slices.Compact(pids)
}

func pidTest(c *Cond) func(uint32, string) bool {
	number := numberTest(c)
	return func(pid uint32, _ string) bool { return number(uint64(pid)) }
}

// appendPIDs appends the numbers that the values mean; ok is false where they
// are too many.
func appendPIDs(pids []uint32, values []operand, ok bool) ([]uint32, bool) {
	for _, s := range mergeSpans(values) {
		for pid := s.lo; ok && pid <= min(s.hi, math.MaxUint32); pid++ {
			if len(pids) == maxPIDs {
				return nil, false
			}
			pids = append(pids, uint32(pid))
		}
	}
	return pids, ok
}

// impliesOwner reports whether each session that meets the expression, or its
// negation, has an owner that meets one of its conditions on pid or comm.
func impliesOwner(e Expr, positive bool) bool {
	implies := func(t Expr) bool { return impliesOwner(t, positive) }
	switch e := e.(type) {
	case *Not:
		return impliesOwner(e.X, !positive)
	case *And:
		return impliesInTerms(e.Terms, positive, implies)
	case *Or:
		return impliesInTerms(e.Terms, !positive, implies)
	case *Cond:
		f := whose.FieldByName(e.name)
		return f != nil && f.Of == whose.OfOwner && len(e.values) > 0 && positive != e.op.negative()
	}
	return false
}

// impliesInTerms takes one term where all have to hold, and all where any has.
func impliesInTerms(terms []Expr, all bool, implies func(Expr) bool) bool {
	if all {
		return slices.ContainsFunc(terms, implies)
	}
	return len(terms) > 0 && !slices.ContainsFunc(terms, func(t Expr) bool { return !implies(t) })
}
