package collect

import (
	"context"
	"fmt"
	"strconv"

	"github.com/seed-44df2ae6/whose/internal/proc"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// Two sources in one collection. Before Linux 5.19 `bpf` finds the holders of
// sockets, in all namespaces at once, and no socket without a holder. There
// `netlink` reads the sockets, and `bpf` takes the place of the walk of /proc.

// complete returns the source of the sockets: s, or netlink if s does not find
// all of them. s is then asked for their holders.
func (g *gatherer) complete(s *openSource, how choice) (*openSource, error) {
	g.holders = nil
	if s.source.Capabilities().FindsSockets {
		return s, nil
	}
	g.holders = s
	sockets, err := g.collector.source(Netlink, g.plan, how)
	if err != nil {
		return nil, fmt.Errorf("sockets that nobody holds: %w", err)
	}
	return sockets, nil
}

// findHolders adds the holders of sockets to w, from their source or else from
// a walk of /proc. A source leaves opts to the join.
func (g *gatherer) findHolders(ctx context.Context, opts proc.WalkOptions, w *proc.Walk) error {
	if g.holders == nil {
		return g.plan.fs.Walk(ctx, opts, w)
	}
	g.held.Reset()
	err := g.holders.read(ctx, &g.query, &g.held)
	w.Holdings = append(w.Holdings, g.held.Holdings...)
	w.Tasks = append(w.Tasks, g.held.Tasks...)
	w.Gaps.Add(g.held.Gaps...)
	w.Processes += g.held.Processes
	return err
}

// alongWays returns the unread namespaces reached by the holders' descriptors.
// Its results are those of [gatherer.heldBySockets].
func (g *gatherer) alongWays(ctx context.Context) (refs []source.NetNSRef, done func(), all bool) {
	var sockets []source.Holding
	for _, w := range g.held.Ways {
		switch {
		case g.visited(w.NetNS):
		case w.Inode == 0:
			path := "/proc/" + strconv.FormatUint(uint64(w.PID), 10) + "/fd/" + strconv.Itoa(int(w.FD))
			refs = append(refs, source.NetNSRef{Inode: w.NetNS, Path: path})
		default:
			sockets = append(sockets, w.Holding)
		}
	}
	behind, done, all := g.behindSockets(ctx, sockets)
	return append(refs, behind...), done, all
}

// addHeld adds the sockets met with a descriptor and not listed by netlink:
// those of namespaces it could not read, and those only bound, which it does
// not list before Linux 6.8. Other sockets are from after its look.
func (g *gatherer) addHeld() {
	if g.holders == nil {
		return
	}
	for _, s := range g.held.Sockets {
		if at := g.found(s.Inode); at >= 0 {
			g.snap.Sockets[at].Flags |= s.Flags & (source.SocketAccepted | source.SocketConnected)
			continue
		}
		if s.RemotePort != 0 && g.visited(s.NetNS) {
			continue
		}
		if s.TCPInfo != 0 {
			g.snap.TCPInfo = append(g.snap.TCPInfo, g.held.TCPInfo[s.TCPInfo-1])
			s.TCPInfo = uint32(len(g.snap.TCPInfo))
		}
		g.snap.Sockets = append(g.snap.Sockets, s)
	}
	for d, name := range g.held.Devices {
		g.snap.NameDevice(d, name)
	}
	g.settle()
}
