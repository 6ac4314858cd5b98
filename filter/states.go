package filter

import (
	"slices"

	"github.com/seed-44df2ae6/whose"
)

// DefaultStates returns the states that a question with this filter asks for where
// its flags choose none: [whose.DefaultStates], or every state if the filter asks
// for states itself or names something.
//
// A filter asks for states if a condition on the state is anywhere in it. It names
// something if it has a condition, under no negation, on
//
//   - an owner, or an owner of the other end: any of their fields;
//   - an end: its address or its port, on either side;
//   - the user, the unit or the container of a socket;
//   - one socket: its inode or its cookie.
//
// Whoever names something asks for all of its sessions: why a port is still in use,
// where a process hangs. Conditions on the kind of a session (tcp, ipv6, direction,
// rtt), and on its network namespace, which is a host of its own, name nothing, and
// neither does a mere exclusion: not port 22.
func DefaultStates(e Expr) whose.Set[whose.State] {
	states := whose.DefaultStates
	walk(e, true, func(c *Cond, positive bool) {
		if c.name == "state" || positive != c.op.negative() && c.names() {
			states = whose.AllStates
		}
	})
	return states
}

// naming are the fields of a session by which a filter names something.
var naming = [...]string{
	"local_addr", "local_port", "remote_addr", "remote_port",
	"user", "uid", "socket_unit", "socket_container", "inode", "cookie",
}

// names reports whether the condition is on a field that names something.
func (c *Cond) names() bool {
	subj, ok := subjectByName(c.name)
	if !ok || len(c.values) == 0 {
		return false
	}
	f := subj.fields[0]
	return f.Of == whose.OfOwner || f.Of == whose.OfPeer || slices.Contains(naming[:], f.Name)
}
