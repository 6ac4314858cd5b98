package collect

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/proc"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// gather reads the sockets and, where they are asked for, who holds them.
//
// A source that meets the descriptors itself answers both at once. With the
// others sockets are read first and descriptors after: a session that stood
// the whole time is found by both, one that is opened in between is not in the
// answer, and one that is closed in between shows no owner and is looked for
// once more.
func (c *Collector) gather(ctx context.Context, p *pass) error {
	p.makeRoom()
	s, err := c.read(ctx, p)
	if err != nil {
		return err
	}
	if p.plan.query.AsksNothing() { // of the namespaces that could be seen none was meant
		p.noteGaps()
		return nil
	}
	if err := p.readLost(ctx, s); err != nil {
		return err
	}
	p.dedupe()
	switch {
	case !p.plan.needs.Owners() && p.holders == nil:
	case p.can.FindsHolders:
		p.attach(p.snap.Holdings, p.plan.admits())
		p.confirm()
		p.nameTasks(p.snap.Tasks)
	default:
		if err := c.findOwners(ctx, p, s); err != nil {
			return err
		}
	}
	p.noteGaps()
	p.describe(ctx)
	return nil
}

// dedupe makes each socket that was read stand once. It may be called again
// when more was read.
func (p *pass) dedupe() {
	p.unique(p.snap.Sockets)
	p.snap.Sockets = p.sockets
}

// noteGaps tells in the coverage what was seen and what source and walk could
// not see.
func (p *pass) noteGaps() {
	p.coverage.Pinned = p.snap.Pinned || p.held.Pinned
	switch {
	case !p.plan.needs.Owners():
	case p.can.FindsHolders:
		p.coverage.Processes = p.snap.Processes
	default:
		p.coverage.Processes = p.walk.Processes
	}
	gaps := p.refGaps
	if !p.can.EntersNamespaces {
		gaps = nil // a source that sees all namespaces at once needs no way into them
	}
	for _, g := range slices.Concat(gaps, p.walk.Gaps, p.snap.Gaps) {
		p.coverage.Add(g)
	}
}

// cutShort makes what was read until the time ran out the answer. What it says
// of a session is true; sessions, owners and peers may be missing.
func (p *pass) cutShort() {
	p.dedupe()
	p.addHeld()
	slices.Sort(p.snap.NetNS)
	p.snap.NetNS = slices.Compact(p.snap.NetNS)
	if p.plan.needs.Owners() {
		holdings, tasks := p.walk.Holdings, p.walk.Tasks
		if p.can.FindsHolders {
			holdings, tasks = p.snap.Holdings, p.snap.Tasks
		}
		p.attach(holdings, p.plan.admits())
		p.nameTasks(tasks)
	}
	p.noteGaps()
	p.noteDeadline()
}

// noteDeadline tells once that the time ran out.
func (p *pass) noteDeadline() {
	if !p.late() {
		p.coverage.Add(whose.Gap{Kind: whose.GapDeadline, Why: "the time allowed ran out"})
	}
}

// late reports whether the time ran out before all was read.
func (p *pass) late() bool { return p.hasGap(whose.GapDeadline) }

func (p *pass) hasGap(kind whose.GapKind) bool {
	return slices.ContainsFunc(p.coverage.Gaps, func(g whose.Gap) bool { return g.Kind == kind })
}

// findNamespaces lists the namespaces that the question is about, once: for
// sources that have to enter each, and to know the wanted ones by their names.
func (p *pass) findNamespaces(ctx context.Context) error {
	if len(p.refs) > 0 {
		return nil
	}
	if p.plan.opts.NetNS == "self" {
		self := p.fs.SelfNetNS()
		p.refs = append(p.refs, source.NetNSRef{Inode: self})
		p.plan.query.NetNS = []uint32{self}
		p.plan.query.Visit = p.refs
		return nil
	}
	refs, gaps, err := p.someNamespaces(ctx)
	if err != nil {
		return err
	}
	if p.plan.netns != nil {
		refs = p.wantedNamespaces(ctx, refs)
		p.plan.query.NetNS = make([]uint32, len(refs))
		for i, r := range refs {
			p.plan.query.NetNS[i] = r.Inode
		}
	}
	p.refs = append(p.refs, refs...)
	p.plan.query.Visit = p.refs
	p.refGaps = gaps
	return nil
}

// someNamespaces lists the namespaces to read first. For a question about few
// processes these are the ones that they are in, for which no other process is
// looked at: into which others their sockets lead is asked of these once their
// descriptors are known (see readHeld).
func (p *pass) someNamespaces(ctx context.Context) ([]source.NetNSRef, []whose.Gap, error) {
	pids := p.plan.query.PIDs
	p.narrow = len(pids) > 0 && p.plan.netns == nil && p.fs.Own() &&
		!slices.Contains(pids, uint32(os.Getpid())) // nor are our own
	if p.narrow {
		refs, gaps, err := p.fs.NamespacesOf(ctx, pids)
		if err != nil || len(refs) > 0 && len(gaps) == 0 {
			return refs, gaps, err
		}
		p.narrow = false
	}
	return p.fs.Namespaces(ctx)
}

// readOthers reads all namespaces after all, since some socket of the processes
// that the question is about could not be asked for its own.
func (p *pass) readOthers(ctx context.Context, s *openSource) error {
	refs, gaps, err := p.fs.Namespaces(ctx)
	if err != nil {
		return err
	}
	p.refGaps = gaps
	return p.readMore(ctx, s, slices.DeleteFunc(refs, func(r source.NetNSRef) bool { return p.visited(r.Inode) }))
}

// wantedNamespaces keeps those that the question names.
func (p *pass) wantedNamespaces(ctx context.Context, refs []source.NetNSRef) []source.NetNSRef {
	names := p.fs.NetNSNames(ctx, refs)
	return slices.DeleteFunc(refs, func(r source.NetNSRef) bool {
		return !p.plan.netns(r.Inode, names[r.Inode])
	})
}

// readFrom asks one source the plan's query.
func (p *pass) readFrom(ctx context.Context, s *openSource) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.can = s.source.Capabilities()
	if p.can.EntersNamespaces || p.plan.netns != nil {
		if err := p.findNamespaces(ctx); err != nil || p.plan.query.AsksNothing() {
			return err
		}
	}
	return s.source.Read(ctx, &p.plan.query, &p.snap)
}

// readLost reads the namespaces that could not be entered by the way that was
// known first, since the process that was in it has exited, by another way.
// Vanished namespaces are not gaps; those to which the way is the same were
// refused, which was already reported.
func (p *pass) readLost(ctx context.Context, s *openSource) error {
	lost := func(r source.NetNSRef) bool { return !slices.Contains(p.snap.NetNS, r.Inode) }
	if !p.can.EntersNamespaces || !slices.ContainsFunc(p.refs, lost) {
		return nil
	}
	now, _, err := p.fs.Namespaces(ctx)
	if err != nil {
		return err
	}
	now = slices.DeleteFunc(now, func(r source.NetNSRef) bool {
		return !lost(r) || !slices.ContainsFunc(p.refs, func(asked source.NetNSRef) bool {
			return asked.Inode == r.Inode && asked.Path != r.Path
		})
	})
	if len(now) == 0 {
		return nil
	}
	return p.readMore(ctx, s, now)
}

// findOwners reads the descriptors of processes for a source that does not,
// then looks for what that brings to light: namespaces that only a descriptor
// or a socket holds, and sockets that seemed to have no owner.
func (c *Collector) findOwners(ctx context.Context, p *pass, s *openSource) error {
	opts := proc.WalkOptions{
		PIDs: p.plan.query.PIDs, Process: p.plan.process,
		WantNetNS: p.plan.netns == nil,
	}
	if p.plan.opts.FirstOwner {
		opts.Want, opts.FirstOwner = p.inodes(), true
	}
	if err := p.findHolders(ctx, opts, &p.walk); err != nil {
		return err
	}
	if opts.WantNetNS {
		if err := p.readHeld(ctx, s); err != nil {
			return err
		}
	}
	p.addHeld()
	if !p.plan.needs.Owners() {
		return nil
	}
	p.attach(p.walk.Holdings, p.plan.admits())
	if err := c.lookAgain(ctx, p, s); err != nil {
		return err
	}
	if p.holders != nil {
		p.confirm()
	}
	if inInner("pid") && p.missing().Len() > 0 { // there may be processes that /proc does not show
		p.coverage.Add(whose.Gap{Kind: whose.GapProcesses, Why: "outside this pid namespace",
			Hint: "run in the host's pid namespace"})
	}
	p.nameTasks(p.walk.Tasks)
	return nil
}

// confirm looks whether what the source calls in flight may belong to a
// process that it does not see: kernels of sandboxes are known to hide their
// first process from programs. /proc then tells even the privileged that they
// may not look into it, and hidden is the truth where in-flight was a guess.
func (p *pass) confirm() {
	if mayTrace() && p.missing().Len() > 0 && errors.Is(p.fs.MayLook(1), fs.ErrPermission) {
		p.coverage.Add(whose.Gap{Kind: whose.GapProcesses, Count: 1, Why: "permission denied"})
	}
}

// maxConfirmed bounds the sockets that a collector remembers as looked for.
const maxConfirmed = 1 << 16

// unconfirmed removes from a set what was looked for by an earlier collection.
func (c *Collector) unconfirmed(set *proc.Inodes) *proc.Inodes {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.confirmed == nil || c.confirmed.Len() == 0 {
		return set
	}
	left := proc.NewInodes(0)
	for inode := range set.All() {
		if !c.confirmed.Has(inode) {
			left.Add(inode)
		}
	}
	return left
}

func (c *Collector) noteConfirmed(set *proc.Inodes) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.confirmed == nil || c.confirmed.Len() > maxConfirmed {
		c.confirmed = proc.NewInodes(set.Len())
	}
	for inode := range set.All() {
		c.confirmed.Add(inode)
	}
}

// inodes returns the set of the sockets' inodes.
func (p *pass) inodes() *proc.Inodes {
	set := proc.NewInodes(len(p.sockets))
	for i := range p.sockets {
		set.Add(p.sockets[i].Inode)
	}
	return set
}

// visited reports whether the namespace has been read.
func (p *pass) visited(inode uint32) bool { return slices.Contains(p.snap.NetNS, inode) }

// readHeld reads the namespaces that were not listed, since no process is in
// them or none that the question is about: first those that a descriptor keeps
// alive, then those that a socket does. A descriptor may
// be gone before its namespace was read by it, and the socket still be there.
func (p *pass) readHeld(ctx context.Context, s *openSource) error {
	held := slices.DeleteFunc(slices.Clone(p.walk.NetNS), func(r source.NetNSRef) bool { return p.visited(r.Inode) })
	if err := p.readMore(ctx, s, held); err != nil {
		return err
	}
	find := p.heldBySockets
	if p.holders != nil {
		find = p.alongWays
	}
	sockets, done, all := find(ctx, s)
	defer done()
	if p.narrow && !all {
		return p.readOthers(ctx, s)
	}
	return p.readMore(ctx, s, sockets)
}

// readMore reads further namespaces. One that is gone by now is nothing to
// tell: what it held is gone too. One that may not be entered is a gap.
func (p *pass) readMore(ctx context.Context, s *openSource, refs []source.NetNSRef) error {
	if len(refs) == 0 {
		return nil
	}
	query := p.plan.query
	query.Visit = refs
	s.mu.Lock()
	err := s.source.Read(ctx, &query, &p.snap)
	s.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		p.coverage.Add(whose.Gap{Kind: whose.GapNamespaces, Count: len(refs), Why: err.Error(), Hint: whose.Hint(err)})
	}
	p.dedupe()
	for _, r := range refs {
		if p.visited(r.Inode) {
			p.refs = append(p.refs, r)
		}
	}
	return nil
}

// lookAgain looks once more for the owners of sockets that nobody seemed to
// hold. First whether they are still there, which tells most of them; only for
// those that are, descriptors are read a second time.
func (c *Collector) lookAgain(ctx context.Context, p *pass, s *openSource) error {
	if p.walk.Denied > 0 || len(p.plan.query.PIDs) > 0 || p.plan.process != nil || p.plan.opts.FirstOwner {
		return nil // others may hold them whom this walk did not look into
	}
	missing := c.unconfirmed(p.missing())
	if missing.Len() == 0 {
		return nil
	}
	standing, err := p.standing(ctx, s, missing)
	if err != nil || standing.Len() == 0 {
		return err
	}
	var again proc.Walk
	if err := p.findHolders(ctx, proc.WalkOptions{Want: standing}, &again); err != nil {
		return err
	}
	p.walk.Holdings = append(p.walk.Holdings, again.Holdings...)
	p.walk.Tasks = append(p.walk.Tasks, again.Tasks...)
	p.attach(p.walk.Holdings, p.plan.admits())
	if missing = p.missing(); missing.Len() > 0 {
		if missing, err = p.standing(ctx, s, missing); err == nil {
			c.noteConfirmed(missing)
		}
	}
	return err
}

// missing returns the sockets that have a file and that nobody holds, without
// those that are known to be gone.
func (p *pass) missing() *proc.Inodes {
	set := proc.NewInodes(0)
	for i := range p.sockets {
		if inode := p.sockets[i].Inode; inode != 0 && len(p.holdersOf(i)) == 0 && !p.gone[inode] {
			set.Add(inode)
		}
	}
	return set
}

// standing reads the sockets again and returns which of the wanted ones are
// still there; the others are noted as gone.
func (p *pass) standing(ctx context.Context, s *openSource, wanted *proc.Inodes) (*proc.Inodes, error) {
	var again source.Snapshot
	query := p.plan.query
	query.Visit = p.refs
	s.mu.Lock()
	err := s.source.Read(ctx, &query, &again)
	s.mu.Unlock()
	if err = cmp.Or(ctx.Err(), err); err != nil {
		return nil, err // what was not listed may be standing all the same
	}
	found := proc.NewInodes(wanted.Len())
	for i := range again.Sockets {
		if inode := again.Sockets[i].Inode; wanted.Has(inode) {
			found.Add(inode)
		}
	}
	for i := range p.sockets {
		if inode := p.sockets[i].Inode; wanted.Has(inode) && !found.Has(inode) {
			p.noteGone(inode)
		}
	}
	return found, nil
}

func (p *pass) noteGone(inode uint64) {
	if p.gone == nil {
		p.gone = make(map[uint64]bool)
	}
	p.gone[inode] = true
}
