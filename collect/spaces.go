package collect

import (
	"context"
	"os"
	"slices"
	"strconv"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/proc"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// spaces are network namespaces, listed for sources that have to enter each,
// and for the choice of namespaces by name.
type spaces struct {
	// refs are the ways into the namespaces to read.
	refs []source.NetNSRef
	// noWay are the namespaces without a way in.
	noWay whose.Gaps
	// some: only those of the processes in question were listed.
	some bool
}

// listSpaces lists the namespaces of the question, once.
func (g *gatherer) listSpaces(ctx context.Context) error {
	if len(g.spaces.refs) > 0 {
		return nil
	}
	var err error
	if g.plan.opts.NetNS == "self" {
		g.spaces.refs = []source.NetNSRef{{Inode: g.plan.fs.SelfNetNS()}}
	} else if g.spaces, err = g.plan.spaces(ctx); err != nil {
		return err
	}
	if len(g.spaces.refs) == 0 {
		if err := g.findUnlisted(ctx); err != nil {
			return err
		}
	}
	if g.plan.netns != nil {
		g.query.NetNS = make([]uint32, len(g.spaces.refs))
		for i, r := range g.spaces.refs {
			g.query.NetNS[i] = r.Inode
		}
	}
	g.query.Visit = g.spaces.refs
	return nil
}

// spaces lists the namespaces to read first. For a question about few processes
// these are their own, and no other process is looked at. [gatherer.readHeld]
// asks their sockets for further namespaces once their descriptors are known.
func (p *plan) spaces(ctx context.Context) (spaces, error) {
	if len(p.query.PIDs) > 0 && p.netns == nil && p.fs.Own() &&
		!slices.Contains(p.query.PIDs, uint32(os.Getpid())) { // our own sockets are not asked
		refs, noWay, err := p.fs.NamespacesOf(ctx, p.query.PIDs)
		if err != nil || len(refs) > 0 && len(noWay) == 0 {
			return spaces{refs, noWay, true}, err
		}
	}
	refs, noWay, err := p.fs.Namespaces(ctx)
	if err == nil && p.netns != nil {
		names := p.fs.NetNSNames(ctx, refs)
		refs = slices.DeleteFunc(refs, func(r source.NetNSRef) bool { return !p.netns(r.Inode, names[r.Inode]) })
	}
	return spaces{refs, noWay, false}, err
}

// findUnlisted finds the namespace asked for by number if neither a process nor a
// mount is in it, but a descriptor or socket holds it. A source that sees all
// namespaces at once needs no way to it.
func (g *gatherer) findUnlisted(ctx context.Context) error {
	inode := g.plan.netnsNumber()
	if inode == 0 {
		return nil
	}
	if !g.can.EntersNamespaces {
		g.spaces.refs = []source.NetNSRef{{Inode: inode}}
		return nil
	}
	var err error
	g.spaces.refs, err = g.heldUnder(ctx, inode)
	return err
}

// heldUnder returns the descriptors that hold a namespace.
func (g *gatherer) heldUnder(ctx context.Context, inode uint32) ([]source.NetNSRef, error) {
	var walk proc.Walk
	if err := g.plan.fs.Walk(ctx, proc.WalkOptions{WantNetNS: true}, &walk); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(walk.NetNS, func(r source.NetNSRef) bool { return r.Inode != inode }), nil
}

// netnsNumber returns the number of the namespace asked for, 0 if it was not asked
// for by number.
func (p *plan) netnsNumber() uint32 {
	number, err := strconv.ParseUint(p.opts.NetNS, 10, 32)
	if err != nil {
		return 0
	}
	return uint32(number)
}

// seeksNumber reports whether the namespace was asked for by number and not found.
func (g *gathered) seeksNumber() bool { return g.plan.netnsNumber() != 0 && len(g.spaces.refs) == 0 }

// namesOne reports whether the question names one network namespace.
func (p *plan) namesOne() bool {
	choice := p.opts.NetNS
	return choice != "" && choice != "all" && choice != "self"
}

// checkChoice is an error if the namespace that the question names is not there: an
// answer without sessions would say that it has none. If it may be one of those
// that could not be looked into, these are gaps.
func (g *gatherer) checkChoice() error {
	if !g.plan.namesOne() {
		return nil
	}
	if slices.ContainsFunc(g.spaces.refs, func(r source.NetNSRef) bool { return g.looked(r.Inode) }) {
		g.spaces.noWay = nil // others are not asked for
		return nil
	}
	if whose.Gaps(slices.Concat(g.spaces.noWay, g.snap.Gaps)).HasKind(whose.GapNamespaces) {
		return nil
	}
	return &whose.UnknownError{What: "network namespace", Name: g.plan.opts.NetNS}
}

// looked reports whether the source has looked at the namespace. One that sees
// all at once notes only those with a process, a descriptor or a socket.
func (g *gathered) looked(inode uint32) bool {
	return g.visited(inode) || !g.can.EntersNamespaces && g.known(inode)
}

// known reports whether somebody is in the namespace or holds it.
func (g *gathered) known(inode uint32) bool {
	return slices.ContainsFunc(g.spaces.refs, func(r source.NetNSRef) bool { return r.Inode == inode && (r.TID != 0 || r.Path != "") }) ||
		slices.ContainsFunc(g.snap.Sockets, func(s source.Socket) bool { return s.NetNS == inode })
}

// visited reports whether the namespace was read.
func (g *gathered) visited(inode uint32) bool { return slices.Contains(g.snap.NetNS, inode) }

// unvisited returns the namespaces not yet read.
func (g *gathered) unvisited(refs []source.NetNSRef) []source.NetNSRef {
	return slices.DeleteFunc(slices.Clone(refs), func(r source.NetNSRef) bool { return g.visited(r.Inode) })
}

// readLost reads by another way the namespaces whose first known way is gone,
// since its process has exited. Vanished namespaces are not gaps. Those with
// the same way as before were refused, which was already reported.
func (g *gatherer) readLost(ctx context.Context) error {
	lost := g.unvisited(g.spaces.refs)
	if !g.can.EntersNamespaces || len(lost) == 0 {
		return nil
	}
	now, _, err := g.plan.fs.Namespaces(ctx)
	if err != nil {
		return err
	}
	now = slices.DeleteFunc(now, func(r source.NetNSRef) bool {
		return !slices.ContainsFunc(lost, func(asked source.NetNSRef) bool {
			return asked.Inode == r.Inode && asked.Path != r.Path
		})
	})
	if len(now) == 0 && g.plan.netnsNumber() != 0 { // a descriptor may hold it still
		if now, err = g.heldUnder(ctx, g.plan.netnsNumber()); err != nil {
			return err
		}
	}
	return g.readMore(ctx, now)
}

// readHeld reads the namespaces missing from the list: no process is in them,
// or none of the question's. First come those kept alive by a descriptor, then
// those kept alive by a socket. A descriptor may be gone before its namespace
// was read by it, and the socket still be there.
func (g *gatherer) readHeld(ctx context.Context) error {
	if err := g.readMore(ctx, g.unvisited(g.walk.NetNS)); err != nil {
		return err
	}
	find := g.heldBySockets
	if g.holders != nil {
		find = g.alongWays
	}
	refs, done, all := find(ctx)
	defer done()
	if g.spaces.some && !all {
		return g.readOthers(ctx)
	}
	return g.readMore(ctx, refs)
}

// readOthers reads all namespaces after all, since some socket of the processes
// in question could not be asked for its own.
func (g *gatherer) readOthers(ctx context.Context) error {
	refs, noWay, err := g.plan.fs.Namespaces(ctx)
	if err != nil {
		return err
	}
	g.spaces.noWay = noWay
	return g.readMore(ctx, g.unvisited(refs))
}

// readMore reads further namespaces. Vanished ones are not gaps: their sockets
// are gone too. A namespace that may not be entered is a gap.
func (g *gatherer) readMore(ctx context.Context, refs []source.NetNSRef) error {
	if len(refs) == 0 {
		return nil
	}
	query := g.query
	query.Visit = refs
	err := g.sockets.read(ctx, &query, &g.snap)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		g.coverage.Add(source.GapOf(whose.GapNamespaces, len(refs), err))
	}
	g.settle()
	for _, r := range refs {
		if g.visited(r.Inode) {
			g.spaces.refs = append(g.spaces.refs, r)
		}
	}
	return nil
}
