package proc

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/netns"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// NetNSNames names network namespaces by their inodes: as `ip netns` does if an
// administrator gave it the name, else "host" for the host's, else by the pod, the
// container or the service in it, else as the tool that made it named it for `ip
// netns`, else by the process. The caller's own has no name unless `ip netns` gave it one. Namespaces without a name are left
// out, and so are those without one yet when ctx ends.
//
// A container is named by its name where a file of its runtime has it, and by its id
// elsewhere.
//
// Names of containers and processes are theirs to choose: any bytes. The mark of a
// process's ([whose.ByProcess]), and of a container's that a user chose, parts
// them from names that only an administrator can set.
func (f *FS) NetNSNames(ctx context.Context, refs []source.NetNSRef) map[uint32]string {
	return f.NetNSNamesOf(ctx, refs, nil, nil)
}

// NetNSNamesOf names the namespaces of refs, and those of the given inodes, as
// NetNSNames does. It finds by itself who is in the latter. It reads one link of
// each process, and no more processes than it needs to have met all of them. It
// leaves out processes known to be in none of them; except is sorted.
func (f *FS) NetNSNamesOf(ctx context.Context, refs []source.NetNSRef, inodes, except []uint32) map[uint32]string {
	names := f.mountedNames(len(refs) + len(inodes))
	self := f.SelfNetNS()
	f.nameInside(ctx, names, self, refs)
	wanted := make(map[uint32]bool)
	for _, inode := range inodes {
		if inode != self && inode != 0 && isBetterNamed(names[inode]) {
			wanted[inode] = true
		}
	}
	if len(wanted) == 0 {
		return names
	}
	in := f.lowestIn(ctx, wanted, except)
	found := make([]source.NetNSRef, 0, len(in))
	for inode, ns := range in {
		found = append(found, source.NetNSRef{Inode: inode, TID: ns.tid})
	}
	f.nameInside(ctx, names, self, found)
	return names
}

// nameInside adds the names of the namespaces that have none of an administrator's,
// by who is in them.
func (f *FS) nameInside(ctx context.Context, names map[uint32]string, self uint32, refs []source.NetNSRef) {
	var inside []source.NetNSRef
	var groups []Cgroup
	host := f.hostNetNS()
	for _, ref := range refs {
		if ctx.Err() != nil {
			break
		}
		if ref.Inode == self || !isBetterNamed(names[ref.Inode]) {
			continue
		}
		if ref.Inode == host || ref.Inode == firstNetNS {
			names[ref.Inode] = hostName
			continue
		}
		if ref.TID == 0 {
			continue
		}
		group, _ := f.CgroupOf(ref.TID) // without one the process names the namespace
		inside, groups = append(inside, ref), append(groups, group)
	}
	if len(inside) == 0 {
		return
	}
	found, _ := f.ContainerNames(ctx, groups)
	for i, ref := range inside {
		name := cmp.Or(found[i].PodName, found[i].Name, groups[i].Container, f.serviceAlone(ref.TID, &groups[i]), names[ref.Inode])
		if name == "" {
			comm, err := f.Comm(ref.TID)
			if err != nil {
				continue
			}
			name = whose.ByProcess + comm
		}
		names[ref.Inode] = name
	}
}

// hostName names the network namespace of the host, seen from another one.
const hostName = "host"

const (
	// firstPIDNS is the number of the first pid namespace, since Linux 3.8.
	firstPIDNS = "pid:[4026531836]"
	// firstNetNS is the number of the first network namespace, since Linux 6.18. Older
	// kernels give it to none.
	firstNetNS = 4026531833
)

// hostNetNS returns the network namespace of the host: that of process 1, if it is in
// the first pid namespace. 0: unknown, as in a container with process ids of its own.
// Root outside of containers may read the links, with CAP_SYS_PTRACE.
func (f *FS) hostNetNS() uint32 {
	var name cname
	var link [64]byte
	n, errno := readlinkat(f.dir, name.set("", 1, "/ns/pid"), link[:])
	if errno != 0 || string(link[:n]) != firstPIDNS {
		return 0
	}
	n, errno = readlinkat(f.dir, name.set("", 1, "/ns/net"), link[:])
	if errno != 0 {
		return 0
	}
	inode, _ := netns.ParseLink(link[:n])
	return inode
}

// serviceAlone returns the systemd service of the lowest process in a namespace, if the
// service as a whole is there (PrivateNetwork=, NetworkNamespacePath=): then the parent
// of that process is none of the service's. A namespace that a part of a service made
// is not the service's.
func (f *FS) serviceAlone(pid uint32, group *Cgroup) string {
	if !strings.HasSuffix(group.Unit, ".service") {
		return ""
	}
	_, parent, err := f.Birth(pid)
	if err != nil || parent == 0 {
		return ""
	}
	if above, err := f.CgroupOf(parent); err != nil || above.Unit == group.Unit {
		return ""
	}
	return group.Unit
}

// isBetterNamed reports whether a namespace with this name, or none, is better named
// by who is in it.
func isBetterNamed(name string) bool { return name == "" || IsMadeUp(name) }

// mountedNames returns the names given by `ip netns`.
func (f *FS) mountedNames(room int) map[uint32]string {
	names := make(map[uint32]string, room)
	for _, process := range []string{f.Self(), "1"} { // under another root, 1 is the host's
		for _, m := range f.netNSMounts(process) {
			if name := ipNetNSName(m.point); name != "" && names[m.inode] == "" {
				names[m.inode] = name
			}
		}
	}
	return names
}

// nameLot is the number of processes looked at before asking whether they were
// enough.
const nameLot = 512

// lowestIn returns the lowest process in each wanted namespace, by its main
// thread or, without one there, by another. Without permission, or once ctx has
// ended, some are missing.
func (f *FS) lowestIn(ctx context.Context, wanted map[uint32]bool, except []uint32) map[uint32]netNS {
	in := make(map[uint32]netNS, len(wanted))
	p := &scan{fs: f, opt: &WalkOptions{}}
	workers := f.takeWorkers(1)
	defer func() { f.giveWorkers(workers) }()
	if p.list(workers[0]) != nil {
		return in // nobody can be looked at
	}
	p.pids = slices.DeleteFunc(p.pids, func(pid uint32) bool {
		_, known := slices.BinarySearch(except, pid)
		return known
	})
	workers = append(workers, f.takeWorkers(p.workers()-1)...)
	slices.Sort(p.pids) // so the first one met is the lowest
	look := func(do func(wk *worker, at int)) {
		for from := 0; from < len(p.pids) && len(in) < len(wanted) && ctx.Err() == nil; from += nameLot {
			p.next.Store(int64(from))
			to := int64(min(from+nameLot, len(p.pids)))
			each(workers, func(wk *worker) {
				for i := p.next.Add(1) - 1; i < to; i = p.next.Add(1) - 1 {
					do(wk, int(i))
				}
			})
			addWanted(in, workers, wanted)
		}
	}
	readable := make([]bool, len(p.pids))
	look(func(wk *worker, at int) {
		pid := p.pids[at]
		readable[at] = wk.netNSAt(f.dir, wk.name.set("", int64(pid), "/ns/net"), pid, pid) == 0
	})
	look(func(wk *worker, at int) { // a thread may be where no main thread is
		if wk.scan = p; readable[at] {
			wk.processNetNS(p.pids[at])
		}
	})
	return in
}

// addWanted adds to in who is in the wanted namespaces, as the workers met them.
func addWanted(in map[uint32]netNS, workers []*worker, wanted map[uint32]bool) {
	for _, wk := range workers {
		for inode, ns := range wk.known {
			if old, met := in[inode]; wanted[inode] && (!met || better(ns, old)) {
				in[inode] = ns
			}
		}
	}
}
