package collect

import (
	"fmt"
	"os"
	"slices"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/proc"
)

// maxForeign bounds how many sockets of unknown kind are asked for their
// namespace in one pass; each costs a handful of system calls.
const maxForeign = 4096

// heldBySockets returns the namespaces that nothing but a socket keeps alive:
// its process opened it there and went elsewhere. Whatever socket was met with
// a descriptor and not in any namespace that was read is asked; most of them
// are UNIX sockets of namespaces that are known. The caller calls done when it
// has read the namespaces.
func (p *pass) heldBySockets() (refs []whose.NetNSRef, done func()) {
	var open []*proc.NetNSFile
	done = func() {
		for _, f := range open {
			f.Close()
		}
	}
	own := uint32(os.Getpid()) // a source's own sockets keep namespaces that it has read
	asked := proc.NewInodes(0)
	for i := range p.walk.Holdings {
		h := p.walk.Holdings[i]
		if h.PID == own || p.index.find(p.sockets, h.Inode) >= 0 || asked.Has(h.Inode) {
			continue
		}
		if asked.Len() == maxForeign {
			p.coverage.Add(whose.Gap{
				Kind: whose.GapNamespaces,
				Why:  fmt.Sprintf("more than %d other sockets: not looked for namespaces that only a socket holds", maxForeign),
				Hint: "the source bpf sees them",
			})
			break
		}
		asked.Add(h.Inode)
		f, err := p.fs.SocketNetNS(h)
		if err != nil {
			continue // it was closed, or may not be looked into: the walk has counted that
		}
		if p.visited(f.Inode) || slices.ContainsFunc(refs, func(r whose.NetNSRef) bool { return r.Inode == f.Inode }) {
			f.Close()
			continue
		}
		open = append(open, f)
		refs = append(refs, whose.NetNSRef{Inode: f.Inode, Path: f.Path()})
	}
	return refs, done
}
