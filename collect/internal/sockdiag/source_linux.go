package sockdiag

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/netlink"
	"github.com/seed-44df2ae6/whose/internal/netns"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// batch is how many namespaces are open at once: five descriptors each.
const batch = 64

// A Source asks the kernel over NETLINK_SOCK_DIAG. It is not safe for
// concurrent use. Whoever opened it closes it.
//
// It needs no privilege for the caller's own network namespace. To enter
// others it needs CAP_SYS_ADMIN in the user namespaces that own them and in
// its own. Without CAP_NET_ADMIN the mark of a socket stays 0.
//
// Since Linux 3.3; the cgroup of a socket since 5.7, MPTCP since 5.9, TCP
// sockets that are bound and neither listening nor connected since 6.8.
type Source struct {
	keep    int
	pass    uint64 // number of calls of Read
	spaces  map[uint32]*space
	workers [2]worker
	kernel  kernel
	// splitFrom is the constant, for tests to change.
	splitFrom int
	jobs      []job
	text      [16 << 10]byte
}

var _ source.Source = (*Source)(nil)

// Open returns a source, after a try to list the TCP listeners of the caller's
// own network namespace. Its errors carry a hint; [whose.ErrUnsupported]: the
// kernel lists none.
func Open(opt Options) (*Source, error) {
	s := &Source{keep: opt.Keep, spaces: make(map[uint32]*space), splitFrom: splitFrom}
	if s.keep == 0 {
		s.keep = DefaultKeep
	}
	major, minor := kernelVersion()
	s.kernel.countsMPTCP = major > 6 || major == 6 && minor >= 3
	s.kernel.dumpsAtOnce = major > 6 || major == 6 && minor >= 9
	s.kernel.listsBound = major > 6 || major == 6 && minor >= 8
	if err := probe(); err != nil {
		return nil, err
	}
	return s, nil
}

// probe lists the TCP listeners.
func probe() error {
	c, err := openConn()
	if err != nil {
		return whose.WithHint(err, "a seccomp filter or a container may forbid netlink sockets; use the source procfs")
	}
	defer c.close()
	d := dump{proto: whose.TCP, families: whose.SetOf(whose.IPv4), states: whose.SetOf(whose.Listen)}
	r := request{proto: netlink.ProtoTCP, family: netlink.FamilyIPv4, states: 1 << stateListen}
	if err := c.run(context.Background(), &r, &d, make([]byte, datagramSize), &rows{}); err != nil {
		return whose.WithHint(err, "use the source procfs")
	}
	if d.errno != 0 {
		return whose.WithHint(&whose.UnsupportedError{What: "sock_diag for tcp", Since: "3.3", Err: unix.Errno(d.errno)},
			"load the kernel module tcp_diag, or use the source procfs")
	}
	return nil
}

// Name returns "netlink".
func (s *Source) Name() string { return "netlink" }

// Capabilities: the source finds sockets, by entering each namespace.
func (s *Source) Capabilities() source.Capabilities {
	return source.Capabilities{FindsSockets: true, EntersNamespaces: true}
}

// Read appends to snap the sockets of the namespaces in q.Visit; of the
// caller's own if it is empty. It applies Protos, Families and States exactly,
// and Any in the kernel; it ignores PIDs.
//
// Rows read before the deadline of ctx stay, with a gap. A refused namespace is
// a gap; one whose way in is gone is missing from Snapshot.NetNS and no more.
// It is an error if all was refused.
func (s *Source) Read(ctx context.Context, q *source.Query, snap *source.Snapshot) error {
	s.pass++
	p := s.begin(ctx, q)
	refs := s.visits(q)
	s.forget(refs)
	for part := range slices.Chunk(refs, batch) {
		if ctx.Err() != nil {
			break
		}
		p.run(s.open(part, p), snap)
		s.trim()
	}
	for i := range s.workers {
		p.gaps.Add(s.workers[i].gaps...)
	}
	snap.Gaps.Add(p.gaps...)
	snap.Gaps.Add(s.kernel.unlisted(q)...)
	switch err := ctx.Err(); {
	case errors.Is(err, context.DeadlineExceeded):
		snap.Gaps.Add(source.GapOf(whose.GapSessions, 0, err))
		return nil
	case err != nil:
		return fmt.Errorf("list sockets over netlink: %w", err)
	}
	return p.err()
}

// Close closes the sockets in all namespaces.
func (s *Source) Close() error {
	var errs []error
	for inode, n := range s.spaces {
		errs = append(errs, n.close())
		delete(s.spaces, inode)
	}
	return errors.Join(errs...)
}

// visits returns the wanted namespaces, each once.
func (s *Source) visits(q *source.Query) []source.NetNSRef {
	visit := q.Visit
	if len(visit) == 0 {
		own, err := netns.Self()
		if err != nil {
			own = 0 // no procfs: the number is not known
		}
		visit = []source.NetNSRef{{Inode: own}}
	}
	refs := make([]source.NetNSRef, 0, len(visit))
	met := make(map[uint32]bool, len(visit))
	for _, ref := range visit {
		if !met[ref.Inode] && (q.NetNS == nil || slices.Contains(q.NetNS, ref.Inode)) {
			met[ref.Inode] = true
			refs = append(refs, ref)
		}
	}
	return refs
}

// forget closes the spaces not visited any more: they keep their namespaces
// alive.
func (s *Source) forget(refs []source.NetNSRef) {
	for _, ref := range refs {
		if n := s.spaces[ref.Inode]; n != nil {
			n.used = s.pass
		}
	}
	for inode, n := range s.spaces {
		if n.used != s.pass {
			_ = n.close() // read-only descriptors: nothing can be lost
			delete(s.spaces, inode)
		}
	}
}

// open returns the spaces of refs, and enters namespaces not open yet.
func (s *Source) open(refs []source.NetNSRef, p *pass) []*space {
	own, ownErr := netns.Self()
	all := make([]*space, 0, len(refs))
	got := func(ref source.NetNSRef, n *space, err error) {
		if errors.Is(err, netns.ErrGone) {
			return // it is not among Snapshot.NetNS, and the collector asks whether there is another way
		}
		if err != nil {
			p.failed(err, source.GapOf(whose.GapNamespaces, 1, err))
			return
		}
		n.used = s.pass
		s.spaces[ref.Inode] = n
		all = append(all, n)
	}
	var foreign []source.NetNSRef
	for _, ref := range refs {
		switch n := s.spaces[ref.Inode]; {
		case n != nil:
			all = append(all, n)
		case ref.Inode == own || ownErr != nil && ref.Inode == 0:
			n, err := openSpace(ref.Inode)
			got(ref, n, err)
		default:
			foreign = append(foreign, ref)
		}
	}
	if len(foreign) > 0 {
		if err := enter(foreign, got); err != nil {
			p.failed(err, source.GapOf(whose.GapNamespaces, 1, err))
		}
	}
	return all
}

// trim closes broken spaces, and those beyond the limit.
func (s *Source) trim() {
	for inode, n := range s.spaces {
		if n.broken.Load() || len(s.spaces) > max(s.keep, 0) {
			_ = n.close() // read-only descriptors: nothing can be lost
			delete(s.spaces, inode)
		}
	}
}

// threads is how many dumps run at the same time: more than two contend for
// the locks of the kernel's table and for memory.
func (s *Source) threads() int { return min(len(s.workers), runtime.GOMAXPROCS(0)) }

// parallel runs fn for n workers at once and waits for all.
func (s *Source) parallel(n int, fn func(w *worker, index int)) {
	var wg sync.WaitGroup
	for i := 1; i < n; i++ {
		wg.Go(func() { fn(&s.workers[i], i) })
	}
	fn(&s.workers[0], 0)
	wg.Wait()
}

// kernelVersion returns the version of the running kernel, zero if unknown.
func kernelVersion() (major, minor int) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return 0, 0
	}
	if _, err := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &major, &minor); err != nil {
		return 0, 0
	}
	return major, minor
}
