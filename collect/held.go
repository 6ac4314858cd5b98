package collect

import (
	"context"
	"fmt"
	"os"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/proc"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// maxForeign bounds how many sockets of unknown kind are asked for their
// namespace in one pass; each costs three system calls.
const maxForeign = 4096

// heldBySockets returns the namespaces that nothing but a socket keeps alive:
// its process opened it there and went elsewhere. Whatever socket was met with
// a descriptor and not in any namespace that was read is asked; most of them
// are UNIX sockets of namespaces that are known. The caller calls done when it
// has read the namespaces; all tells that each socket could be asked.
func (g *gatherer) heldBySockets(ctx context.Context) (refs []source.NetNSRef, done func(), all bool) {
	unknown, more := g.foreign(nil)
	if len(unknown) > fewForeign {
		if known := g.sockets.unixSockets(ctx); known != nil {
			unknown, more = g.foreign(known)
		}
	}
	if more {
		g.coverage.Add(whose.Gap{
			Kind: whose.GapNamespaces, Cause: whose.CauseLimit,
			Detail: fmt.Sprintf("more than %d other sockets: not looked for namespaces that only a socket holds", maxForeign),
			Hint:   "use --source bpf, which sees them",
		})
	}
	refs, done, all = g.behindSockets(ctx, unknown)
	return refs, done, all && !more
}

// behindSockets returns the unread namespaces that the sockets were opened in,
// as heldBySockets does.
func (g *gatherer) behindSockets(ctx context.Context, sockets []source.Holding) (refs []source.NetNSRef, done func(), all bool) {
	open, unasked := g.plan.fs.NetNSOfSockets(ctx, sockets, g.visited)
	for _, f := range open {
		refs = append(refs, source.NetNSRef{Inode: f.Inode, Path: f.Path()})
	}
	return refs, func() {
		for _, f := range open {
			f.Close()
		}
	}, unasked == 0
}

// A unixLister is a source that can list the UNIX sockets of the namespaces
// that it has read.
type unixLister interface {
	UnixInodes(ctx context.Context, set interface{ Add(inode uint64) }) error
}

// fewForeign is up to how many sockets it costs less to ask each.
const fewForeign = 64

// unixSockets returns the UNIX sockets of the namespaces that were read: most of
// what is met with a descriptor and is no session. One list of them costs less
// than asking each of a few dozen. Nil: the source does not list them, and each
// is asked.
func (s *openSource) unixSockets(ctx context.Context) *proc.Inodes {
	lister, can := s.source.(unixLister)
	if !can {
		return nil
	}
	known := proc.NewInodes(0)
	s.mu.Lock()
	defer s.mu.Unlock()
	if lister.UnixInodes(ctx, known) != nil {
		return nil
	}
	return known
}

// foreign returns a holding of each socket that was met with a descriptor and
// not in any namespace that was read, without the known ones; more than
// maxForeign are not returned, and more says so.
func (g *gathered) foreign(known *proc.Inodes) (all []source.Holding, more bool) {
	if !g.plan.fs.Own() {
		return nil, false // sockets can be asked of live processes only
	}
	own := uint32(os.Getpid()) // a source's own sockets keep namespaces that it has read
	met := proc.NewInodes(0)
	for _, h := range g.walk.Holdings {
		if h.PID == own || g.found(h.Inode) >= 0 || met.Has(h.Inode) || known != nil && known.Has(h.Inode) {
			continue
		}
		if len(all) == maxForeign {
			return all, true
		}
		met.Add(h.Inode)
		all = append(all, h)
	}
	return all, false
}
