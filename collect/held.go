package collect

import (
	"context"
	"fmt"
	"os"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/proc"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// maxForeign bounds the sockets of unknown kind asked for their namespace in
// one pass; each costs three system calls.
const maxForeign = 4096

// heldBySockets returns the namespaces kept alive by a socket alone: its
// process opened it there and went elsewhere. It asks every socket met with a
// descriptor and in no namespace read so far; most of them are UNIX sockets of
// known namespaces. The caller calls done after it has read the namespaces. all
// is false if some socket could not be asked.
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
// as [gatherer.heldBySockets] does.
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

// A unixLister is a source that can list the UNIX sockets of the namespaces it
// has read.
type unixLister interface {
	UnixInodes(ctx context.Context, set interface{ Add(inode uint64) }) error
}

// fewForeign is the number of sockets up to which asking each costs less.
const fewForeign = 64

// unixSockets returns the UNIX sockets of the namespaces read. They are most of
// the sockets met with a descriptor that are no sessions. One list of them
// costs less than asking each of a few dozen. Nil: the source does not list
// them, so each is asked.
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

// foreign returns a holding of each socket met with a descriptor and in no
// namespace read so far, without the known ones. It returns at most maxForeign;
// more reports further ones.
func (g *gathered) foreign(known *proc.Inodes) (all []source.Holding, more bool) {
	if !g.plan.fs.Own() {
		return nil, false // sockets can be asked of live processes only
	}
	own := uint32(os.Getpid()) // a source's own sockets keep the namespaces it has read
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
