package filter

import "github.com/seed-44df2ae6/whose"

// A Plan is an expression split into what can be applied while the host is
// read and what is left to be evaluated afterwards.
//
// Every session that meets the expression is admitted by Query, Process and
// NetNS; and of the admitted sessions exactly those that meet Rest meet the
// expression, whether the collector applied Query.Any, Query.PIDs, Process and
// NetNS in full, in part or not at all. Query.Protos, Families and States have
// to be applied exactly to what is answered: Rest no longer says what they say.
//
// Facts that depend on other sockets than the session's own (direction, peer,
// the owners of a connection in an accept queue) have to be found before
// sessions that are not admitted are left out.
type Plan struct {
	// Query has Protos, Families, States, Any and PIDs set, nothing else.
	Query whose.Query
	// Rest is what is left of the expression; nil: nothing.
	Rest Expr
	// Process narrows the walk over processes: one for which it is false need
	// not be looked into. Nil: every process has to be.
	Process func(pid uint32, comm string) bool
	// NetNS narrows the namespaces in the same way. The name is what
	// Session.NetNSName will be; it is not used unless Needs names
	// whose.NeedNetNSName. Nil: every namespace.
	NetNS func(inode uint32, name string) bool
	// Nothing tells that no session can meet the expression. Query is then
	// empty, which asks for everything, and Rest the whole expression.
	Nothing bool
}

// Split returns the plan of an expression.
func Split(e Expr, env Env) Plan { return Plan{Rest: e} }
