package collect

import (
	"context"
	"fmt"
	"os"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/proc"
)

// maxForeign bounds how many sockets of unknown kind are asked for their
// namespace in one pass; each costs three system calls.
const maxForeign = 4096

// heldBySockets returns the namespaces that nothing but a socket keeps alive:
// its process opened it there and went elsewhere. Whatever socket was met with
// a descriptor and not in any namespace that was read is asked; most of them
// are UNIX sockets of namespaces that are known. The caller calls done when it
// has read the namespaces.
func (p *pass) heldBySockets(ctx context.Context) (refs []whose.NetNSRef, done func()) {
	open, _ := p.fs.NetNSOfSockets(ctx, p.foreign(), p.visited)
	for _, f := range open {
		refs = append(refs, whose.NetNSRef{Inode: f.Inode, Path: f.Path()})
	}
	return refs, func() {
		for _, f := range open {
			f.Close()
		}
	}
}

// foreign returns a holding of each socket that was met with a descriptor and
// not in any namespace that was read.
func (p *pass) foreign() []whose.Holding {
	if !p.fs.Own() {
		return nil // sockets can be asked of live processes only
	}
	own := uint32(os.Getpid()) // a source's own sockets keep namespaces that it has read
	met := proc.NewInodes(0)
	var all []whose.Holding
	for i := range p.walk.Holdings {
		h := p.walk.Holdings[i]
		if h.PID == own || p.index.find(p.sockets, h.Inode) >= 0 || met.Has(h.Inode) {
			continue
		}
		if met.Len() == maxForeign {
			p.coverage.Add(whose.Gap{
				Kind: whose.GapNamespaces,
				Why:  fmt.Sprintf("more than %d other sockets: not looked for namespaces that only a socket holds", maxForeign),
				Hint: "use --source bpf, which sees them",
			})
			break
		}
		met.Add(h.Inode)
		all = append(all, h)
	}
	return all
}
