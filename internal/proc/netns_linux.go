package proc

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/netns"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// SelfNetNS returns the network namespace of the calling thread: the one of a
// socket opened here. Zero if the root does not show the caller.
func (f *FS) SelfNetNS() uint32 {
	for _, rel := range []string{"thread-self/ns/net", "self/ns/net"} { // the first since Linux 3.17
		if inode, err := netns.Inode(f.path(rel)); err == nil {
			return inode
		}
	}
	return 0
}

// Namespaces returns every network namespace visible to the caller, by inode,
// each once: those of processes, of threads that left their process's, and
// those held by a mount, in whatever mount namespace. (Those held only by a
// descriptor come from [FS.Walk]; those held only by a socket, from
// [FS.NetNSOfSockets].)
//
// TID is the lowest process in a namespace. Path is the caller's own mount of
// it if there is one, since this stays when processes go; else the one of the
// process; else a mount seen through another process's root.
//
// The gaps count the namespaces that may not be entered. A process with an
// unreadable namespace is no gap if it is in a known one, which shows in the
// numbers of the files under /proc/PID/net. The namespaces of others need
// CAP_SYS_PTRACE.
func (f *FS) Namespaces(ctx context.Context) ([]source.NetNSRef, whose.Gaps, error) {
	return f.namespaces(ctx, nil)
}

// NamespacesOf returns the network namespaces of the processes and their
// threads, each once, and looks at no other process. Their sockets may be in
// others: see [FS.NetNSOfSockets]. An exited process is in none.
func (f *FS) NamespacesOf(ctx context.Context, pids []uint32) ([]source.NetNSRef, whose.Gaps, error) {
	if len(pids) == 0 {
		return nil, nil, nil
	}
	return f.namespaces(ctx, pids)
}

// namespaces lists the namespaces of the processes. If pids is nil, it lists
// those of all, and those held by a mount.
func (f *FS) namespaces(ctx context.Context, pids []uint32) ([]source.NetNSRef, whose.Gaps, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, fmt.Errorf("list network namespaces: %w", err)
	}
	p := &scan{fs: f, opt: &WalkOptions{PIDs: pids}}
	workers := f.takeWorkers(1)
	defer func() { f.giveWorkers(workers) }()
	if err := p.list(workers[0]); err != nil {
		return nil, nil, err
	}
	defer stopOn(ctx, func() { p.stop.Store(true) })()
	workers = append(workers, f.takeWorkers(p.workers()-1)...)
	each(workers, func(wk *worker) { wk.findNetNS(p) })

	s := newNetNSSet(f)
	for _, wk := range workers {
		s.addWorker(wk)
	}
	if pids == nil {
		s.addMounts(ctx)
	}
	refs, gaps := s.refs(), s.gaps()
	if gap, hidden := f.hidden(); hidden && pids == nil {
		gaps.Add(namespacesOf(gap))
	}
	for _, wk := range workers {
		for _, gap := range wk.gaps {
			gaps.Add(namespacesOf(gap))
		}
	}
	if p.stop.Load() {
		return refs, gaps, fmt.Errorf("list network namespaces: %w", ctx.Err())
	}
	return refs, gaps, nil
}

// namespacesOf turns the gap of processes into the one of their namespaces,
// whose number nobody knows.
func namespacesOf(g whose.Gap) whose.Gap {
	g.Kind, g.Count = whose.GapNamespaces, 0
	return g
}

// netNS is the process and thread in a namespace.
type netNS struct {
	pid uint32 // its lowest process, 0 for none
	tid uint32 // a thread of pid in it; pid if it is the main thread
}

// closedNetNS is the namespace of an unreadable process: known only by the
// number in a file of /proc/PID/net.
type closedNetNS struct {
	dev uint64
	pid uint32
}

// findNetNS reads the namespaces of processes until none is left.
func (wk *worker) findNetNS(p *scan) {
	wk.scan = p
	for !p.over() {
		i := p.next.Add(1) - 1
		if i >= int64(len(p.pids)) {
			return
		}
		wk.processNetNS(p.pids[i])
	}
}

// processNetNS notes the network namespaces of a process and its threads, and
// its mount namespace.
func (wk *worker) processNetNS(pid uint32) {
	root := wk.fs.dir
	errno := wk.netNSAt(root, wk.name.set("", int64(pid), "/ns/net"), pid, pid)
	switch {
	case denied(errno):
		wk.closedAt(pid)
		return
	case errno != 0 && !wk.mainIsGone(pid, errno):
		return
	}
	n, errno := readlinkat(root, wk.name.set("", int64(pid), "/ns/mnt"), wk.link[:])
	if inode, ok := numberIn(wk.link[:max(n, 0)], "mnt:["); errno == 0 && ok {
		if old, met := wk.mnts[uint32(inode)]; !met || pid < old {
			wk.mnts[uint32(inode)] = pid
		}
	}
	if wk.fs.live {
		if errno := statx(root, wk.name.set("", int64(pid), "/task"), unix.STATX_NLINK, &wk.sx); errno == 0 && int(wk.sx.Nlink)-taskLinks <= 1 {
			return
		}
	}
	wk.threadsNetNS(pid)
}

// mainIsGone reports whether a process whose main thread is in no namespace may
// have others in one: it is there, and only its main thread has exited.
func (wk *worker) mainIsGone(pid uint32, errno unix.Errno) bool {
	if !gone(errno) {
		wk.because(errno)
		return false
	}
	return statx(wk.fs.dir, wk.name.set("", int64(pid), "/task"), unix.STATX_TYPE, &wk.sx) == 0
}

// threadsNetNS notes the namespaces of a process's other threads. The directory
// stays open the while: everything read is of this very process.
func (wk *worker) threadsNetNS(pid uint32) {
	dir, errno := wk.fs.openat(wk.fs.dir, wk.name.set("", int64(pid), "/task"), openDir)
	if errno != 0 {
		return // it has exited meanwhile
	}
	defer closeFD(dir)
	if wk.threads(dir) <= 1 || wk.listThreads(dir) != 0 {
		return
	}
	for _, tid := range wk.tids {
		if tid != pid {
			wk.netNSAt(dir, wk.name.set("../task/", int64(tid), "/ns/net"), pid, tid)
		}
	}
}

// netNSAt notes the namespace at the end of a link. An exited thread has none.
func (wk *worker) netNSAt(dir int, name *cname, pid, tid uint32) unix.Errno {
	n, errno := readlinkat(dir, name, wk.link[:])
	if errno != 0 {
		return errno
	}
	if inode, ok := netns.ParseLink(wk.link[:n]); ok {
		if old, met := wk.known[inode]; !met || better(netNS{pid, tid}, old) {
			wk.known[inode] = netNS{pid, tid}
		}
	}
	return 0
}

// better reports whether a is the better way into a namespace than b: a main
// thread's before another's, then the lower number's.
func better(a, b netNS) bool {
	if main := a.pid == a.tid; main != (b.pid == b.tid) {
		return main
	}
	return cmp.Or(cmp.Compare(a.pid, b.pid), cmp.Compare(a.tid, b.tid)) < 0
}

// closedAt notes a process whose namespace may not be read. Files under
// /proc/PID/net can be seen by anyone and are numbered anew in each namespace.
// A kernel thread is in the first one and cannot be in another.
func (wk *worker) closedAt(pid uint32) {
	errno := statx(wk.fs.dir, wk.name.set("", int64(pid), "/net/dev"), unix.STATX_INO, &wk.sx)
	switch {
	case errno == 0:
		wk.closed = append(wk.closed, closedNetNS{dev: wk.sx.Ino, pid: pid})
	case denied(errno):
		wk.closed = append(wk.closed, closedNetNS{pid: pid})
	}
}

// netNSSet gathers namespaces by inode.
type netNSSet struct {
	fs    *FS
	in    map[uint32]netNS  // who is in a namespace
	paths map[uint32]string // its mount
	devs  map[uint64]uint32 // the closed ones, with a process in each
	blind int               // processes of which nothing could be learned
	mnts  map[uint32]uint32 // mount namespaces, with a process in each
	// unreachable are those behind a mount that may hang, refused those behind
	// a directory that may not be passed.
	unreachable, refused map[uint32]bool
}

func newNetNSSet(f *FS) *netNSSet {
	return &netNSSet{fs: f, in: map[uint32]netNS{}, paths: map[uint32]string{},
		devs: map[uint64]uint32{}, mnts: map[uint32]uint32{},
		unreachable: map[uint32]bool{}, refused: map[uint32]bool{}}
}

// known reports whether there is a way into the namespace.
func (s *netNSSet) known(inode uint32) bool {
	_, in := s.in[inode]
	return in || s.paths[inode] != ""
}

func (s *netNSSet) addWorker(wk *worker) {
	for inode, ns := range wk.known {
		if old, met := s.in[inode]; !met || better(ns, old) {
			s.in[inode] = ns
		}
	}
	for _, c := range wk.closed {
		if c.dev == 0 {
			s.blind++
		} else if old, met := s.devs[c.dev]; !met || c.pid < old {
			s.devs[c.dev] = c.pid
		}
	}
	for mnt, pid := range wk.mnts {
		if old, met := s.mnts[mnt]; !met || pid < old {
			s.mnts[mnt] = pid
		}
	}
}

// refs returns the namespaces by inode.
func (s *netNSSet) refs() []source.NetNSRef {
	refs := make([]source.NetNSRef, 0, len(s.in))
	for inode, path := range s.paths {
		refs = append(refs, source.NetNSRef{Inode: inode, TID: s.in[inode].tid, Path: path})
	}
	for inode, ns := range s.in {
		if s.paths[inode] != "" {
			continue
		}
		rel := pidPath(ns.pid, "ns/net")
		if ns.tid != ns.pid {
			rel = pidPath(ns.pid, "task/"+pidPath(ns.tid, "ns/net"))
		}
		refs = append(refs, source.NetNSRef{Inode: inode, TID: ns.tid, Path: s.fs.path(rel)})
	}
	slices.SortFunc(refs, compareNetNS)
	return refs
}

// gaps counts the namespaces not among the known ones.
func (s *netNSSet) gaps() whose.Gaps {
	var st unix.Statx_t
	var name cname
	if len(s.devs) > 0 {
		for _, ns := range s.in {
			if statx(s.fs.dir, name.set("", int64(ns.tid), "/net/dev"), unix.STATX_INO, &st) == 0 {
				delete(s.devs, st.Ino)
			}
		}
	}
	known := func(inode uint32, _ bool) bool { return s.known(inode) }
	maps.DeleteFunc(s.unreachable, known)
	maps.DeleteFunc(s.refused, known)
	var gaps whose.Gaps
	if n := len(s.unreachable); n > 0 {
		gaps.Add(whose.Gap{Kind: whose.GapNamespaces, Cause: whose.CauseUnsupported, Count: n,
			Detail: "held by a mount behind a file system that may never answer"})
	}
	// A closed one and a refused one may be the same: there are as many at least.
	if n := max(len(s.devs), len(s.refused)); n > 0 {
		gaps.Add(whose.Gap{Kind: whose.GapNamespaces, Cause: whose.CausePermission, Count: n})
	}
	if s.blind > 0 { // of so many processes; in how many others, nobody knows
		gaps.Add(whose.Gap{Kind: whose.GapNamespaces, Cause: whose.CausePermission})
	}
	return gaps
}
