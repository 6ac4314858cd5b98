package collect

import (
	"cmp"
	"context"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/proc"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// This file looks a second time for the owners of sockets before they are
// called ownerless.

// lookAgain looks for the owners of sockets that nobody seemed to hold, and
// joins its finds. A source of descriptors has read socket and descriptor at
// once. For the others much may have changed between the two.
func (g *gatherer) lookAgain(ctx context.Context, j *joined) error {
	if !g.plan.needs.Owners() {
		return nil
	}
	if !g.can.FindsHolders {
		if err := g.walkAgain(ctx, j); err != nil {
			return err
		}
	}
	if g.can.FindsHolders || g.holders != nil {
		g.confirm(j)
	}
	// /proc may hide processes; of those asked for by number it hides none.
	if !g.can.FindsHolders && len(g.query.PIDs) == 0 && inInner("pid") && j.missing().Len() > 0 {
		g.coverage.Add(source.OutsidePIDNS)
	}
	return nil
}

// walkAgain first asks whether the sockets still exist, which settles most of
// them. It reads descriptors a second time only for the rest.
func (g *gatherer) walkAgain(ctx context.Context, j *joined) error {
	if g.walk.Denied > 0 || len(g.query.PIDs) > 0 || g.plan.process != nil || g.plan.opts.FirstOwner {
		return nil // others may hold them whom this walk did not look into
	}
	missing := g.collector.unconfirmed(j.missing())
	if missing.Len() == 0 {
		return nil
	}
	standing, err := g.standing(ctx, missing)
	if err != nil || standing.Len() == 0 {
		return err
	}
	var again proc.Walk
	if err := g.findHolders(ctx, proc.WalkOptions{Want: standing}, &again); err != nil {
		return err
	}
	g.walk.Holdings = append(g.walk.Holdings, again.Holdings...)
	g.walk.Tasks = append(g.walk.Tasks, again.Tasks...)
	j.join(g.gathered)
	if missing = j.missing(); missing.Len() > 0 {
		if missing, err = g.standing(ctx, missing); err == nil {
			g.collector.noteConfirmed(missing)
		}
	}
	return err
}

// missing returns the sockets with a file and without a holder. It leaves out
// those known to be gone.
func (j *joined) missing() *proc.Inodes {
	set := proc.NewInodes(0)
	for i := range j.sockets {
		if inode := j.sockets[i].Inode; inode != 0 && len(j.holdersOf(i)) == 0 && !j.gone.Has(inode) {
			set.Add(inode)
		}
	}
	return set
}

// standing reads the sockets again and returns the wanted ones still there. It
// notes the others as gone.
func (g *gatherer) standing(ctx context.Context, wanted *proc.Inodes) (*proc.Inodes, error) {
	var again source.Snapshot
	query := g.query
	query.Visit = g.spaces.refs
	err := g.sockets.read(ctx, &query, &again)
	if err = cmp.Or(ctx.Err(), err); err != nil {
		return nil, err // sockets missing from this list may stand all the same
	}
	found := proc.NewInodes(wanted.Len())
	for i := range again.Sockets {
		if inode := again.Sockets[i].Inode; wanted.Has(inode) {
			found.Add(inode)
		}
	}
	for inode := range wanted.All() {
		if !found.Has(inode) {
			g.gone.Add(inode)
		}
	}
	return found, nil
}

// confirm checks whether an in-flight socket may belong to a process hidden
// from the source: kernels of sandboxes are known to hide their first process
// from programs. /proc then refuses even the privileged a look into it.
// In-flight was a guess, and hidden is the truth.
func (g *gatherer) confirm(j *joined) {
	if !excludesFirst(g.plan.fs, g.plan.process) && j.missing().Len() > 0 && hidesFirst(g.plan.fs) {
		g.coverage.Add(whose.Gap{Kind: whose.GapProcesses, Cause: whose.CausePermission, Count: 1})
	}
}

// maxConfirmed bounds the sockets a collector remembers as looked for.
const maxConfirmed = 1 << 16

// unconfirmed removes from a set the sockets looked for by an earlier
// collection.
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
