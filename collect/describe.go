package collect

import (
	"context"
	"maps"
	"slices"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/internal/proc"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// described is derived with the names of everything in it: the fourth stage.
// The sessions refer to its memory, so nothing of it is used again.
type described struct {
	*derived
	// users, netns and devices are the names of numbers.
	users   map[uint32]string
	netns   map[uint32]string
	devices map[source.Device]string
	tcp     []whose.TCPInfo
	// keepsUsers: this kernel keeps the user of a socket without an open file,
	// whether closed or not yet accepted (6.17).
	keepsUsers bool
	// groups names the control groups of sockets whose owners are hidden.
	groups *proc.CgroupIndex
	// doubtful: some session with hidden owners might meet the question if they
	// were known. choose finds it out.
	doubtful bool
}

// describe reads the remaining facts of processes, users and namespaces, each
// once. If ctx ends, names are missing.
func describe(ctx context.Context, d *derived, k *known, groups *keptGroups) described {
	needs := d.plan.needs
	m := described{
		derived: d, devices: d.snap.Devices, tcp: slices.Clone(d.snap.TCPInfo),
		keepsUsers: kernelHas(d.plan.fs.Release(), 6, 17),
	}
	if needs&source.NeedFacts != 0 {
		d.enrich(ctx, k)
	}
	if needs&(whose.NeedUser|whose.NeedCreds) != 0 {
		m.users = d.userNames(ctx)
	}
	if needs.Has(whose.NeedSocketGroup) && slices.Contains(d.reason, whose.ReasonHidden) {
		m.groups = groups.forSockets(ctx, d)
	}
	if needs.Has(whose.NeedNetNSName) {
		m.netns = d.netnsNames(ctx)
	}
	return m
}

// enrich reads the requested facts of each owner that is not known from earlier, until
// ctx ends. A process that has ended keeps its known facts.
func (j *joined) enrich(ctx context.Context, k *known) {
	pass := k.pass(j.snap.Marks, j.plan.needs)
	ids, places := j.ids[:0], j.places[:0]
	for i := range j.procs {
		id := proc.ProcessID{PID: j.procs[i].PID, Start: j.starts[i]}
		if p := pass.find(id); p != nil {
			j.setFacts(i, p)
			continue
		}
		ids, places = append(ids, id), append(places, i)
	}
	j.ids, j.places = ids, places
	if len(ids) == 0 {
		return
	}
	gaps := j.plan.fs.Describe(ctx, ids, j.plan.needs, func(n int, p *whose.Process) {
		j.setFacts(places[n], p)
		pass.keep(ids[n], p)
	})
	if !filter.Needs(j.plan.opts.Filter).Has(whose.NeedContainerNames) {
		// A column alone is absent where it may not be read, and nothing is missing.
		gaps = slices.DeleteFunc(gaps, func(g whose.Gap) bool { return g.Kind == whose.GapContainers })
	}
	j.coverage.Gaps.Add(gaps...)
}

// setFacts completes a process. Its name and start come from the source.
func (j *joined) setFacts(i int, facts *whose.Process) {
	p := &j.procs[i]
	comm, start := p.Comm, p.StartTime
	*p = *facts
	p.Comm, p.StartTime = comm, start
}

// userNames looks up each uid of the answer once. Those that no file of the host
// names are asked for all at once.
func (j *joined) userNames(ctx context.Context) map[uint32]string {
	names := make(map[uint32]string)
	if j.plan.needs.Has(whose.NeedUser) {
		j.addUIDs(names)
	}
	for i := range j.procs {
		if p := &j.procs[i]; p.User != "" {
			names[p.UID] = ""
		}
	}
	if gap, failed := j.plan.fs.LearnUsers(ctx, slices.Collect(maps.Keys(names))); failed {
		j.coverage.Add(gap)
	}
	for uid := range names {
		names[uid] = j.plan.fs.UserName(uid)
	}
	for i := range j.procs {
		if p := &j.procs[i]; p.User != "" {
			p.User = names[p.UID]
		}
	}
	return names
}

// addUIDs adds the uids of the sockets.
func (j *joined) addUIDs(names map[uint32]string) {
	last, have := uint32(0), false
	for i := range j.sockets {
		uid := j.sockets[i].UID
		if have && uid == last {
			continue
		}
		last, have = uid, true
		names[uid] = ""
	}
}

// netnsNames looks up the names of the namespaces in the answer. The caller's
// own needs no search. The others need the processes in them.
func (j *joined) netnsNames(ctx context.Context) map[uint32]string {
	own := j.plan.fs.SelfNetNS()
	present := make(map[uint32]bool)
	foreign := false
	for i := range j.sockets {
		inode := j.sockets[i].NetNS
		if !present[inode] {
			present[inode] = true
			foreign = foreign || inode != own
		}
	}
	if len(j.snap.Inside) > 0 {
		return j.netnsNamesInside(ctx, present)
	}
	if len(j.spaces.refs) == 0 || j.spaces.some {
		if !foreign {
			present = nil
		}
		return j.plan.fs.NetNSNamesOf(ctx, nil, slices.Collect(maps.Keys(present)), nil)
	}
	var refs []source.NetNSRef
	for inode := range present {
		ref := source.NetNSRef{Inode: inode}
		if i := slices.IndexFunc(j.spaces.refs, func(r source.NetNSRef) bool { return r.Inode == inode }); i >= 0 {
			ref = j.spaces.refs[i]
		}
		refs = append(refs, ref)
	}
	return j.plan.fs.NetNSNames(ctx, refs)
}

// netnsNamesInside looks up the names of the namespaces by those whom the source saw
// in them. Those of others, which only a socket or a mount holds as a rule, it seeks
// among the processes that are hidden from the source.
func (j *joined) netnsNamesInside(ctx context.Context, present map[uint32]bool) map[uint32]string {
	own := j.plan.fs.SelfNetNS()
	var refs []source.NetNSRef
	var rest []uint32
	for inode := range present {
		if tid := j.snap.Inside[inode]; tid != 0 {
			refs = append(refs, source.NetNSRef{Inode: inode, TID: tid})
		} else if inode != own {
			rest = append(rest, inode)
		}
	}
	if len(rest) > 0 {
		slices.Sort(j.snap.Seen)
	}
	return j.plan.fs.NetNSNamesOf(ctx, refs, rest, j.snap.Seen)
}
