package collect

import (
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
)

// Options say what to collect and how. The zero value, and nil, ask for the
// TCP and UDP sessions in the states of [whose.DefaultStates], in every
// network namespace that the caller may see, with their owners, from the best
// source there is.
type Options struct {
	// Filter is the expression that a session has to meet. Nil: every session.
	Filter filter.Expr
	// Protos, Families and States that are wanted, beside what Filter says.
	// Zero Protos or Families means all. Zero States means
	// [whose.DefaultStates], or every state if Filter names a state.
	Protos   whose.Set[whose.Proto]
	Families whose.Set[whose.Family]
	States   whose.Set[whose.State]
	// NetNS chooses network namespaces: "" or "all", "self", a name, or an
	// inode number as text. Others are not looked into, so that the other end
	// of a session that is in one of them has no name.
	NetNS string
	// Needs says which facts the answer shows. Zero means [whose.NeedDefault];
	// [whose.NeedSessions] alone shows no owners and no names. What the filter
	// and the order need is added.
	Needs whose.Needs
	// FirstOwner stops looking when every session has an owner, where one is
	// enough. A session then may have more owners than are named.
	FirstOwner bool
	// Sort orders the sessions by these fields; a name with a leading "-"
	// sorts downwards. Nil: listeners first, then by process name, PID,
	// protocol and local port. What is equal so far is ordered by the
	// addresses, so that the order is the same each time.
	Sort []string
	// Source is "bpf", "netlink" or "procfs"; "" or "auto" takes the best that works.
	Source string
	// Proc is the root of procfs. Empty means /proc. Another root leaves only
	// the source procfs.
	Proc string
	// PinDir is where pinned iterators are looked for. Empty means DefaultPinDir.
	PinDir string
	// Timeout bounds one collection. When it has passed, the answer is what was
	// collected until then, with a gap (whose.CauseDeadline): its sessions are
	// true, but some may be missing, as may owners, directions and names, and
	// Filter is evaluated without them. The end of the caller's context is an
	// error instead. Zero: no bound.
	Timeout time.Duration
}

// DefaultPinDir is where `whose pin` puts the iterators.
const DefaultPinDir = "/sys/fs/bpf/whose"
