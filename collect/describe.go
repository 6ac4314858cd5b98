package collect

import (
	"bytes"
	"context"
	"maps"
	"slices"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/proc"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// nameTasks gives the processes that hold something their names and start
// times, as the walk or the source read them beside the descriptors.
func (p *pass) nameTasks(tasks []source.Task) {
	for i := range tasks {
		t := &tasks[i]
		at, ok := p.pids[t.PID]
		if !ok {
			continue
		}
		process := &p.procs[at]
		p.starts[at] = t.Start
		process.StartTime = p.fs.StartTime(t.Start)
		process.Comm = string(cutNUL(t.Comm[:]))
	}
}

func cutNUL(b []byte) []byte {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return b[:i]
	}
	return b
}

// describe reads what else the answer shows of processes, users and
// namespaces, each once.
func (p *pass) describe(ctx context.Context) {
	if p.plan.needs&(whose.NeedCmdline|whose.NeedExe|whose.NeedCreds|whose.NeedCgroup) != 0 {
		p.enrich(ctx)
	}
}

// enrich reads the facts of each owner that were asked for, until ctx ends. A
// process that has ended keeps what is known of it.
func (p *pass) enrich(ctx context.Context) {
	for i := range p.procs {
		if i%64 == 0 && ctx.Err() != nil {
			return
		}
		full, err := p.fs.Process(p.procs[i].PID, p.starts[i], p.plan.needs)
		if err != nil {
			continue // it has ended, or its place was taken by another
		}
		full.Comm, full.StartTime = p.procs[i].Comm, p.procs[i].StartTime
		p.procs[i] = full
	}
}

// maker returns what makes the sessions of this pass.
func (p *pass) maker(ctx context.Context) maker {
	m := maker{
		j: &p.joined, d: &p.derived,
		withOwners: p.plan.needs.Owners(), withPeers: p.plan.peers,
		devices: p.snap.Devices,
		tcp:     slices.Clone(p.snap.TCPInfo),
	}
	if p.plan.needs.Has(whose.NeedUser) {
		m.users = p.userNames()
	}
	if p.plan.needs.Owners() && slices.Contains(p.reason, whose.ReasonHidden) {
		m.cgroups = p.cgroups(ctx)
	}
	if p.plan.needs.Has(whose.NeedNetNSName) {
		m.netns = p.netnsNames(ctx)
	}
	return m
}

// userNames looks up each uid of the answer once.
func (p *pass) userNames() map[uint32]string {
	names := make(map[uint32]string)
	last, have := uint32(0), false
	for i := range p.sockets {
		uid := p.sockets[i].UID
		if have && uid == last {
			continue
		}
		last, have = uid, true
		if _, ok := names[uid]; !ok {
			names[uid] = p.fs.UserName(uid)
		}
	}
	return names
}

// netnsNames looks up the names of the namespaces that occur. The caller's own
// needs no looking for; of others the processes in them have to be known.
func (p *pass) netnsNames(ctx context.Context) map[uint32]string {
	own := p.fs.SelfNetNS()
	present := make(map[uint32]bool)
	foreign := false
	for i := range p.sockets {
		inode := p.sockets[i].NetNS
		if !present[inode] {
			present[inode] = true
			foreign = foreign || inode != own
		}
	}
	if len(p.refs) == 0 || p.narrow {
		if !foreign {
			present = nil
		}
		return p.fs.NetNSNamesOf(ctx, slices.Collect(maps.Keys(present)))
	}
	var refs []source.NetNSRef
	for inode := range present {
		ref := source.NetNSRef{Inode: inode}
		if i := slices.IndexFunc(p.refs, func(r source.NetNSRef) bool { return r.Inode == inode }); i >= 0 {
			ref = p.refs[i]
		}
		refs = append(refs, ref)
	}
	return p.fs.NetNSNames(ctx, refs)
}

// cgroups returns the index of control groups, nil where there is none: then
// the hidden owners' units stay unknown, which the coverage says already.
func (p *pass) cgroups(ctx context.Context) *proc.CgroupIndex {
	x, err := p.fs.Cgroups(ctx)
	if err != nil {
		return nil
	}
	return x
}
