package collect

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
)

// Options are the question of a collection. The zero value, and nil, ask for the
// TCP and UDP sessions in the states of [whose.DefaultStates], in every visible
// network namespace, with their owners, from the best source.
type Options struct {
	// Filter selects sessions; see [filter.Parse]. Nil: every session.
	Filter filter.Expr
	// Protos, Families and States select sessions beside Filter. Zero Protos or
	// Families means all. Zero States means [filter.DefaultStates] of Filter: LISTEN,
	// ESTABLISHED and UNCONN, or every state if Filter asks for states or names a
	// process, an address, a port or the like.
	Protos   whose.Set[whose.Proto]
	Families whose.Set[whose.Family]
	States   whose.Set[whose.State]
	// CountOthers counts, beside the answer, the sessions that meet it in all but the
	// states that zero States stands for ([whose.Coverage.OtherStates]). It leaves out
	// CLOSE and SYN_RECV, which no counter of the kernel has. With States, or where
	// every state is asked for, it does nothing.
	CountOthers bool
	// NetNS chooses network namespaces: "" or "all", "self", a name, or an inode
	// number as text. Others are not read, so a session whose other end is in one
	// of them has no peer.
	NetNS string
	// Needs are the costly facts of the answer. Zero means [whose.NeedDefault];
	// [whose.NeedSessions] alone shows no owners and no names. The needs of filter
	// and order are added.
	Needs whose.Needs
	// FirstOwner stops the search when every session has an owner. A session may
	// then have unnamed owners too.
	FirstOwner bool
	// Sort orders the sessions by these fields; a name with a leading "-" sorts
	// downwards. Nil: listeners first, then by process name, PID, protocol and
	// local port. Equal sessions are ordered by their addresses, so the order is
	// the same each time. An unknown field is [ErrNoField].
	Sort []string
	// ByProcess leaves the sessions of a process in no order, which is quicker where
	// they are only counted. Listeners come first, and processes in their order, as
	// without it. It means nothing beside Sort.
	ByProcess bool
	// Source is [BPF], [Netlink] or [Procfs]; "" or [Auto] takes the best that works.
	// Another name is [ErrNoSource].
	Source string
	// Proc is the root of procfs. Empty means /proc. Only the source procfs reads
	// another root. A root that does not show this process, or no process at all,
	// is an error.
	Proc string
	// CapturedProc: Proc is a captured tree of plain files like a procfs, made by
	// somebody whom the caller trusts. A caller with privilege (root, or a
	// capability to read what others may not) reads such a tree only with it; for
	// others it changes nothing.
	CapturedProc bool
	// PinDir is the directory of pinned iterators. Empty means [DefaultPinDir].
	PinDir string
	// Timeout bounds one collection. After it the answer is partial, with a gap
	// ([whose.CauseDeadline]). Its sessions are true, but some may be missing, as
	// may owners, directions and names, and Filter is evaluated without them. The
	// end of the caller's context is an error instead. Zero: no bound.
	Timeout time.Duration
}

// within returns ctx with the end of the time allowed since began.
func (o *Options) within(ctx context.Context, began time.Time) (context.Context, context.CancelFunc) {
	if o.Timeout <= 0 {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, began.Add(o.Timeout))
}

// foreign reports whether the question names a directory of the caller's.
func (o *Options) foreign() bool {
	return o.foreignProc() || o.PinDir != "" && o.PinDir != DefaultPinDir
}

// foreignProc reports whether the question is about another root of procfs.
func (o *Options) foreignProc() bool { return o.Proc != "" && o.Proc != "/proc" }

// noAnswer is the error of a collection that does not end.
func (o *Options) noAnswer(after time.Duration) error {
	dir := o.Proc
	if !o.foreignProc() {
		dir = o.PinDir
	}
	return whose.WithHint(
		fmt.Errorf("collect sessions: no answer within %v: %w", after.Round(time.Millisecond), context.DeadlineExceeded),
		"is the file system of %s dead (NFS, FUSE)?", dir)
}

// DefaultPinDir is the directory of `whose pin`.
const DefaultPinDir = "/sys/fs/bpf/whose"
