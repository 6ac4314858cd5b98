package collect

import (
	"context"
	"fmt"
	"strconv"

	"github.com/seed-44df2ae6/whose/internal/proc"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// Two sources in one collection. Before Linux 5.19 `bpf` finds who holds
// sockets, in all namespaces at once, and no socket that nobody holds. There
// `netlink` reads the sockets, and `bpf` takes the place of the walk of /proc.

// complete returns the source that reads the sockets: s or, where s does not
// find all of them, netlink. s is then asked for their holders.
func (c *Collector) complete(p *pass, s *openSource, how choice) (*openSource, error) {
	p.holders = nil
	if s.source.Capabilities().FindsSockets {
		return s, nil
	}
	p.holders = s
	sockets, err := c.source(Netlink, p.plan, how)
	if err != nil {
		return nil, fmt.Errorf("sockets that nobody holds: %w", err)
	}
	return sockets, nil
}

// findHolders adds to w who holds sockets, as the source for it finds them or,
// where there is none, a walk of /proc. A source leaves opts to the join.
func (p *pass) findHolders(ctx context.Context, opts proc.WalkOptions, w *proc.Walk) error {
	if p.holders == nil {
		return p.fs.Walk(ctx, opts, w)
	}
	p.holders.mu.Lock()
	defer p.holders.mu.Unlock()
	p.held.Reset()
	err := p.holders.source.Read(ctx, &p.plan.query, &p.held)
	w.Holdings = append(w.Holdings, p.held.Holdings...)
	w.Tasks = append(w.Tasks, p.held.Tasks...)
	w.Gaps = append(w.Gaps, p.held.Gaps...)
	w.Processes += p.held.Processes
	return err
}

// alongWays returns the unread namespaces that the holders' descriptors lead
// into. It returns what [pass.heldBySockets] does.
func (p *pass) alongWays(ctx context.Context, _ *openSource) (refs []source.NetNSRef, done func(), all bool) {
	var sockets []source.Holding
	for _, w := range p.held.Ways {
		switch {
		case p.visited(w.NetNS):
		case w.Inode == 0:
			path := "/proc/" + strconv.FormatUint(uint64(w.PID), 10) + "/fd/" + strconv.Itoa(int(w.FD))
			refs = append(refs, source.NetNSRef{Inode: w.NetNS, Path: path})
		default:
			sockets = append(sockets, w.Holding)
		}
	}
	behind, done, all := p.behindSockets(ctx, sockets)
	return append(refs, behind...), done, all
}

// addHeld adds the sockets that were met with a descriptor and that netlink did
// not list: those of namespaces that it could not read, and those that are only
// bound, which it does not list before Linux 6.8. Other sockets are from after
// its look.
func (p *pass) addHeld() {
	if p.holders == nil {
		return
	}
	for i := range p.held.Sockets {
		s := p.held.Sockets[i]
		if p.index.find(p.sockets, s.Inode) >= 0 || s.RemotePort != 0 && p.visited(s.NetNS) {
			continue
		}
		if s.TCPInfo != 0 {
			p.snap.TCPInfo = append(p.snap.TCPInfo, p.held.TCPInfo[s.TCPInfo-1])
			s.TCPInfo = uint32(len(p.snap.TCPInfo))
		}
		p.snap.Sockets = append(p.snap.Sockets, s)
	}
	for d, name := range p.held.Devices {
		p.snap.NameDevice(d, name)
	}
	p.dedupe()
}
