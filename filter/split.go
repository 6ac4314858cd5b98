package filter

import "github.com/seed-44df2ae6/whose"

// A Plan is an expression in two parts: conditions for the reading of the host, and
// a rest for afterwards. [Split] makes it.
//
// Sets, Any, PIDs, Process and NetNS admit every session that meets the expression.
// An admitted session meets the expression exactly if it meets Rest, whether the
// collector applied Any, PIDs, Process and NetNS in full, in part or not at all.
// Protos, Families and States must be applied exactly: Rest no longer has them.
//
// Some facts depend on other sockets than the session's own: direction, peer, the
// owners of a connection in an accept queue. Find these before you drop sessions
// without admission.
type Plan struct {
	// Protos, Families and States are the wanted ones. If one of them is empty, no
	// session can meet the expression.
	Protos   whose.Set[whose.Proto]
	Families whose.Set[whose.Family]
	States   whose.Set[whose.State]
	// Any holds conditions on the two ends: a session meets at least one. Nil:
	// no condition.
	Any []Endpoints
	// PIDs are the processes of the wanted sessions. Nil: every process, and none.
	PIDs []uint32
	// Rest is the remaining expression. Nil: none.
	Rest Expr
	// Process narrows the walk over processes: it is false for a process without
	// interest. Nil: read every process.
	Process func(pid uint32, comm string) bool
	// NetNS narrows the namespaces in the same way. The name is the later
	// Session.NetNSName; it is used only if [Needs] has [whose.NeedNetNSName]. Nil:
	// every namespace.
	NetNS func(inode uint32, name string) bool
}

// Split returns the plan of an expression. The plan of a nil expression asks
// for every session, the zero Plan for none.
func Split(e Expr, env Env) Plan {
	if e == nil {
		return Plan{Protos: whose.AllProtos, Families: whose.AllFamilies, States: whose.AllStates}
	}
	env.Now = env.now()
	all := setsOf(e, true)
	ends := endsOf(e, true)
	if all.isEmpty() || len(ends) == 0 {
		return Plan{Rest: e}
	}
	p := Plan{
		Protos: all.protos, Families: all.families, States: all.states,
		Rest:  withoutSets(e),
		NetNS: netnsOf(e, true, env),
	}
	if ends[0] != AnyEnds {
		p.Any = ends
	}
	p.Process, p.PIDs = ownersOf(e)
	return p
}

// withoutSets returns the rest of an expression when its conditions on
// protocol, family and state alone are left out where they stand beside the
// others; nil if nothing is.
func withoutSets(e Expr) Expr {
	and, ok := e.(*And)
	if !ok {
		if pureDimension(e) != "" {
			return nil
		}
		return e
	}
	terms := make([]Expr, len(and.Terms))
	for i, t := range and.Terms {
		terms[i] = withoutSets(t)
	}
	return AllOf(terms...)
}

// netnsOf returns what an expression says of namespaces: false only for one
// whose sessions cannot meet it. Nil: it says nothing.
func netnsOf(e Expr, positive bool, env Env) func(inode uint32, name string) bool {
	switch e := e.(type) {
	case *Not:
		return netnsOf(e.X, !positive, env)
	case *And:
		return netnsOfTerms(e.Terms, positive, positive, env)
	case *Or:
		return netnsOfTerms(e.Terms, positive, !positive, env)
	case *Cond:
		holds := netnsCond(e, env)
		if holds == nil || positive != e.op.negative() {
			return holds
		}
		return func(inode uint32, name string) bool { return !holds(inode, name) }
	}
	return nil
}

// netnsCond returns a condition on the namespace without its negation, or nil
// if the condition is on something else.
func netnsCond(c *Cond, env Env) func(inode uint32, name string) bool {
	switch {
	case len(c.values) == 0:
		return nil
	case c.name == "netns":
		return netnsHolds(c, env)
	case c.name == "netns_name":
		text := textOrMatch(c)
		return func(_ uint32, name string) bool { return name != "" && text(name) }
	}
	return nil
}

// netnsOfTerms joins what the terms say, where all or where any has to hold.
func netnsOfTerms(terms []Expr, positive, all bool, env Env) func(inode uint32, name string) bool {
	var tests []func(uint32, string) bool
	for _, t := range terms {
		if test := netnsOf(t, positive, env); test != nil {
			tests = append(tests, test)
		}
	}
	if len(tests) == 0 || !all && len(tests) < len(terms) {
		return nil
	}
	return func(inode uint32, name string) bool {
		for _, test := range tests {
			if test(inode, name) != all {
				return !all
			}
		}
		return all
	}
}
