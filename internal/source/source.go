package source

import (
	"context"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
)

// A Source is one way to ask the kernel for its sockets. Every source answers
// the same Query with the same sockets, as far as it can see them.
//
// A Source is not safe for concurrent use; the collector serialises its calls.
// Whoever opened it closes it.
type Source interface {
	// Name is the source's name: "bpf", "netlink" or "procfs".
	Name() string
	// Capabilities are those of the open source on this kernel.
	Capabilities() Capabilities
	// Read appends to snap what q asks for. What could not be seen goes into
	// snap.Gaps; an error means that there is no answer at all. Exit of a
	// process or of a namespace in the middle is neither.
	Read(ctx context.Context, q *Query, snap *Snapshot) error
	// Close gives back descriptors and programs.
	Close() error
}

// Capabilities say what one [Source.Read] gives, and what it needs for that.
type Capabilities struct {
	// FindsSockets: it gives every socket that the source may see. A source
	// without it gives those that processes hold, and another has to read the
	// rest.
	FindsSockets bool
	// FindsHolders: it gives Holdings and Tasks, as far as the source may see
	// them. No walk of /proc is needed.
	FindsHolders bool
	// EntersNamespaces: it reads the namespaces of [Query.Visit] and no others.
	// A source without it reads all that there are.
	EntersNamespaces bool
}

// A Query is the part of a question that a source can apply, and into the
// kernel where the kernel can. The zero value asks for nothing, [Everything]
// for every socket.
//
// A source applies Protos, Families, States and NetNS exactly. Any, PIDs and Process
// it may apply in part: it never appends less than they ask for, and the collector
// removes the rest.
type Query struct {
	// Protos, Families and States that are wanted.
	Protos   whose.Set[whose.Proto]
	Families whose.Set[whose.Family]
	States   whose.Set[whose.State]
	// NetNS are the namespaces that are wanted, by inode. Nil: all.
	NetNS []uint32
	// Visit are the ways into the wanted namespaces, for a source that
	// EntersNamespaces.
	Visit []NetNSRef
	// Any holds conditions on the two ends: a socket is wanted if it meets at
	// least one. Nil: no condition.
	Any []filter.Endpoints
	// Listeners tells that listeners are wanted whatever Any says: what comes
	// in is told from what goes out by who listens.
	Listeners bool
	// PIDs are the processes whose sockets are wanted. Nil: those of every
	// process and of none. A source that reads descriptors itself reads those
	// only.
	PIDs []uint32
	// Process narrows the processes by number and name: sockets are wanted that one of
	// those has for which it is true, with all their holders. Nil: no condition. It is
	// never set beside PIDs.
	Process func(pid uint32, comm string) bool
	// Peers tells that with Process the other ends of these sockets are wanted too,
	// with their holders.
	Peers bool
	// Needs says which facts the answer will show; a source leaves out others
	// that cost something.
	Needs whose.Needs
}

// NeedFacts are the needs of facts that are read in files, of each process.
const NeedFacts = whose.NeedCmdline | whose.NeedExe | whose.NeedCreds | whose.NeedCgroup | whose.NeedContainerNames

// Everything returns the query for every socket there is.
func Everything() Query {
	return Query{Protos: whose.AllProtos, Families: whose.AllFamilies, States: whose.AllStates}
}

// AsksNothing reports whether no socket can meet the query.
func (q *Query) AsksNothing() bool {
	return q.Protos == 0 || q.Families == 0 || q.States == 0 || q.NetNS != nil && len(q.NetNS) == 0
}

// A NetNSRef is a network namespace and the ways into it.
type NetNSRef struct {
	// Inode is the namespace's number.
	Inode uint32
	// TID is a thread that is in it, whose /proc/TID/net shows it; 0 for none.
	TID uint32
	// Path is a file to enter it by: /proc/TID/ns/net, a bind mount, or a
	// descriptor /proc/PID/fd/N. Empty where there is none.
	Path string
}
