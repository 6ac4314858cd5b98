package collect

import (
	"context"
	"slices"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/proc"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// The first stage reads the sockets and, if asked for, their holders.
//
// A source that meets the descriptors itself answers both at once. With the
// others sockets are read first and descriptors after. Both reads find a
// session that stood the whole time. A session opened in between is not in the
// answer. A session closed in between shows no owner and is looked for once
// more (see again.go).

// gathered is everything read, with its coverage.
type gathered struct {
	plan *plan
	// can are the capabilities of the source of the sockets.
	can source.Capabilities
	// snap holds the sockets. Those before settled stand once each, and index
	// finds them.
	snap    source.Snapshot
	settled int
	index   inodeIndex
	// paths: some sockets share the inode of an MPTCP session, whose holders only
	// the index finds.
	paths bool
	// walk holds the things met with a descriptor, unless a source of holders
	// put them into snap; held is the rest of that source's reading.
	walk proc.Walk
	held source.Snapshot
	// spaces are the listed network namespaces.
	spaces spaces
	// gone are the inodes not found again by a second look.
	gone     proc.Inodes
	coverage whose.Coverage
}

// reset empties the stage and keeps its memory.
func (g *gathered) reset() {
	g.snap.Reset()
	g.walk.Reset()
	g.held.Reset()
	g.gone.Reset()
	g.index.reset(0)
	*g = gathered{snap: g.snap, walk: g.walk, held: g.held, index: g.index, gone: g.gone}
}

// A gatherer is the first stage at work.
type gatherer struct {
	*gathered
	collector *Collector
	// query is the plan's, with the namespaces found for it.
	query source.Query
	// sockets is the source of the sockets. holders, if not nil, finds their
	// holders in place of a walk of /proc.
	sockets, holders *openSource
}

// gather reads everything the plan asks for.
func (g *gatherer) gather(ctx context.Context) error {
	if g.query.AsksNothing() {
		return nil
	}
	if err := g.gatherMost(ctx); err != nil {
		return err
	}
	return g.checkChoice()
}

// gatherMost reads everything by the source that sees most.
func (g *gatherer) gatherMost(ctx context.Context) error {
	order, err := g.collector.chooseSource(g.plan)
	if err != nil {
		return err
	}
	g.makeRoom()
	if err := g.gatherBy(ctx, order); err != nil {
		return err
	}
	for _, name := range g.seeingMore(order) {
		more := choice{names: []string{name}}
		if _, err := g.collector.source(name, g.plan, more); err == nil {
			g.startAgain()
			return g.gatherBy(ctx, more)
		}
	}
	return nil
}

// startAgain forgets everything read.
func (g *gatherer) startAgain() {
	p := g.plan
	g.gathered.reset()
	g.plan, g.query, g.sockets, g.holders = p, p.query, nil, nil
}

// gatherBy reads everything by one of the sources.
func (g *gatherer) gatherBy(ctx context.Context, order choice) error {
	if err := g.readSockets(ctx, order); err != nil || g.query.AsksNothing() {
		return err
	}
	if err := g.readLost(ctx); err != nil {
		return err
	}
	g.settle()
	if g.can.FindsHolders || g.holders == nil && !g.plan.needs.Owners() {
		return nil
	}
	return g.walkHolders(ctx)
}

// readFrom asks one source for the sockets.
func (g *gatherer) readFrom(ctx context.Context, s *openSource) error {
	g.sockets, g.can = s, s.source.Capabilities()
	if g.can.EntersNamespaces || g.plan.netns != nil {
		if err := g.listSpaces(ctx); err != nil || g.query.AsksNothing() {
			return err
		}
	}
	return s.read(ctx, &g.query, &g.snap)
}

// walkHolders reads the descriptors of processes, and then the namespaces
// brought to light by them: those held by a descriptor or a socket only.
func (g *gatherer) walkHolders(ctx context.Context) error {
	opts := proc.WalkOptions{
		PIDs: g.query.PIDs, Process: g.plan.process,
		WantNetNS: g.plan.netns == nil,
	}
	if g.plan.opts.FirstOwner {
		opts.Want, opts.FirstOwner = g.inodes(), true
	}
	if err := g.findHolders(ctx, opts, &g.walk); err != nil {
		return err
	}
	if opts.WantNetNS {
		if err := g.readHeld(ctx); err != nil {
			return err
		}
	}
	g.addHeld()
	return nil
}

// inodes returns the set of the sockets' inodes.
func (g *gathered) inodes() *proc.Inodes {
	set := proc.NewInodes(len(g.snap.Sockets))
	for i := range g.snap.Sockets {
		set.Add(g.snap.Sockets[i].Inode)
	}
	return set
}

// settle leaves each socket once, in place, and indexes those with an inode. Of
// a socket met with each of its descriptors, the first reading stays. The paths of
// an MPTCP session share an inode and all stay.
func (g *gathered) settle() {
	sockets := g.snap.Sockets
	if len(sockets) == g.settled {
		return // nothing was read since
	}
	g.index.reset(len(sockets))
	g.paths = false
	kept := 0
	for i := range sockets {
		inode := sockets[i].Inode
		if inode != 0 {
			switch at := g.index.find(sockets, inode); {
			case at < 0:
				g.index.add(inode, kept)
			case !isPath(&sockets[i], &sockets[at]):
				continue
			case sockets[i].Flags&source.SocketSubflow == 0 && sockets[at].Flags&source.SocketSubflow != 0:
				g.index.move(inode, kept) // the session itself comes after its subflow
				g.paths = true
			default:
				sockets[i].Flags |= source.SocketSubflow
				g.paths = true
			}
		}
		if kept != i {
			sockets[kept] = sockets[i]
		}
		kept++
	}
	g.snap.Sockets, g.settled = sockets[:kept], kept
}

// isPath reports whether two readings with one inode are two paths of an MPTCP
// session, and not one socket read twice. A source that does not know MPTCP gives
// them as two connections, and no cookie.
func isPath(s, before *source.Socket) bool {
	if (s.Flags|before.Flags)&source.SocketSubflow != 0 {
		return s.Flags&before.Flags&source.SocketSubflow == 0 || !sameEnds(s, before)
	}
	return s.Proto == whose.TCP && s.Cookie == 0 && s.RemotePort != 0 && before.RemotePort != 0 && !sameEnds(s, before)
}

func sameEnds(a, b *source.Socket) bool {
	return a.LocalPort == b.LocalPort && a.RemotePort == b.RemotePort && a.Local == b.Local && a.Remote == b.Remote
}

// found returns the place of the socket with the inode, or -1.
func (g *gathered) found(inode uint64) int { return g.index.find(g.snap.Sockets, inode) }

// holdings returns the holdings and their processes; none unless owners were
// asked for.
func (g *gathered) holdings() ([]source.Holding, []source.Task) {
	switch {
	case !g.plan.needs.Owners():
		return nil, nil
	case g.can.FindsHolders:
		return g.snap.Holdings, g.snap.Tasks
	}
	return g.walk.Holdings, g.walk.Tasks
}

// cutShort makes do with everything read until the time ran out. The facts of a
// session are true; sessions, owners and peers may be missing.
func (g *gatherer) cutShort() {
	g.settle()
	g.addHeld()
	slices.Sort(g.snap.NetNS)
	g.snap.NetNS = slices.Compact(g.snap.NetNS)
}

// account writes the coverage: everything seen, and the gaps of source and
// walk.
func (g *gathered) account() {
	c := &g.coverage
	c.Pinned = g.snap.Pinned || g.held.Pinned
	c.Namespaces = len(g.snap.NetNS)
	c.OwnersAsked = g.plan.needs.Owners()
	switch {
	case !c.OwnersAsked:
	case g.can.FindsHolders:
		c.Processes = g.snap.Processes
	default:
		c.Processes = g.walk.Processes
	}
	c.Gaps.Add(g.gaps()...)
}

// gaps returns the gaps of source and walk.
func (g *gathered) gaps() []whose.Gap {
	noWay := g.spaces.noWay
	if !g.can.EntersNamespaces {
		noWay = nil // the source sees all namespaces at once
	}
	return slices.Concat(noWay, g.walk.Gaps, g.snap.Gaps)
}

// noteDeadline notes once that the time ran out.
func (g *gathered) noteDeadline() {
	if !g.late() {
		g.coverage.Add(whose.Gap{Kind: whose.GapSessions, Cause: whose.CauseDeadline})
	}
}

// late reports whether the time ran out.
func (g *gathered) late() bool { return g.coverage.Gaps.HasCause(whose.CauseDeadline) }
