package sockdiag

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/source"
)

const (
	// attempts is how often a dump that was interrupted is made.
	attempts = 3
	// fewSockets is up to how many TCP sockets of a namespace it is worth
	// looking whether all of them are listeners.
	fewSockets = 256
)

// kernel is what was learned of the kernel.
type kernel struct {
	// countsMPTCP: it counts MPTCP sockets in /proc/net/protocols (6.3).
	// listsBound: it lists TCP sockets that are only bound (6.8).
	// dumpsAtOnce: it makes several dumps of one protocol at once (6.9).
	countsMPTCP, listsBound, dumpsAtOnce bool
	// oneFamily: the kernel does not list both families at once.
	oneFamily atomic.Bool
}

// unlisted says what of the query the kernel does not list.
func (k *kernel) unlisted(q *source.Query) whose.Gaps {
	if k.listsBound || !q.States.Has(whose.Close) || !q.Protos.Has(whose.TCP) {
		return nil
	}
	missing := &whose.UnsupportedError{What: "listing of tcp sockets that are bound and neither listen nor connect", Since: "6.8"}
	return whose.Gaps{source.GapOf(whose.GapSockets, 0, whose.WithHint(missing, "use the source bpf"))}
}

// pass is one call of Read.
type pass struct {
	s        *Source
	ctx      context.Context
	q        *source.Query
	bytecode []byte
	// everything: about as many sockets come as the census counts.
	everything bool

	mu       sync.Mutex
	gaps     whose.Gaps
	dumped   bool
	firstErr error
}

// job is what one worker does at once: one lane of one namespace.
type job struct {
	n    *space
	lane int
	// half is the condition of one half of a split dump, empty for all.
	half   []byte
	weight int
	census census
}

// worker makes dumps, one after the other.
type worker struct {
	buf []byte
	out rows
	// mptcp holds the MPTCP sockets of the namespace at hand, of all states.
	mptcp rows
	gaps  whose.Gaps
	// dumps counts the dumps that were asked for in this pass.
	dumps int
}

func (s *Source) begin(ctx context.Context, q *source.Query) *pass {
	for i := range s.workers {
		s.workers[i].begin()
	}
	p := &pass{s: s, ctx: ctx, q: q, bytecode: compile(q.Any, q.Listeners)}
	p.everything = len(p.bytecode) == 0 && q.States.Has(whose.Established)
	return p
}

// begin makes the worker ready for a pass.
func (w *worker) begin() {
	if w.buf == nil {
		w.buf = make([]byte, datagramSize)
	}
	w.gaps, w.dumps = w.gaps[:0], 0
	w.out.lastDevice = source.Device{}
	clear(w.out.devices)
}

// failed notes that something could not be read.
func (p *pass) failed(err error, g whose.Gap) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gaps.Add(g)
	if p.firstErr == nil {
		p.firstErr = err
	}
}

// err returns why there is no answer at all, nil if there is one.
func (p *pass) err() error {
	if p.dumped || p.firstErr == nil {
		return nil
	}
	return whose.WithHint(fmt.Errorf("list sockets over netlink: %w", p.firstErr), "use the source procfs")
}

// run reads the given namespaces into snap.
func (p *pass) run(spaces []*space, snap *source.Snapshot) {
	s := p.s
	total := p.plan(spaces)
	if p.everything {
		snap.Sockets = withRoom(snap.Sockets, total)
	}
	first := &s.workers[0].out
	first.sockets, first.info = snap.Sockets, snap.TCPInfo
	var mu sync.Mutex
	front, back := 0, len(s.jobs)
	// The first worker takes the largest that is left, the others the smallest:
	// what the first reads need not be copied.
	next := func(worker int) *job {
		mu.Lock()
		defer mu.Unlock()
		if front == back || p.ctx.Err() != nil {
			return nil
		}
		if worker == 0 {
			front++
			return &s.jobs[front-1]
		}
		back--
		return &s.jobs[back]
	}
	s.parallel(min(s.threads(), max(len(s.jobs), 1)), func(w *worker, i int) {
		for j := next(i); j != nil; j = next(i) {
			w.do(p, j)
		}
	})
	p.merge(spaces, snap)
}

// withRoom returns the sockets with room for n more. Unlike slices.Grow it leaves
// memory that is not used untouched, so that it takes no page.
func withRoom(sockets []source.Socket, n int) []source.Socket {
	if cap(sockets)-len(sockets) >= n {
		return sockets
	}
	return append(make([]source.Socket, 0, len(sockets)+n), sockets...)
}

// plan looks what the namespaces hold and lists what there is to do, the
// largest first. It returns about how many sockets there are.
func (p *pass) plan(spaces []*space) int {
	s, total := p.s, 0
	s.jobs = s.jobs[:0]
	for _, n := range spaces {
		c := n.census(s.text[:], s.kernel.countsMPTCP)
		tcp := c.tcpTotal() + c.timeWait
		total += c.sockets()
		j := job{n: n, lane: laneTCP, weight: tcp, census: c}
		if p.splits(&c) {
			parts := j.split()
			s.jobs = append(s.jobs, parts[:]...)
		} else {
			s.jobs = append(s.jobs, j)
		}
		s.jobs = append(s.jobs, job{n: n, lane: laneUDP, weight: c.sockets() - tcp, census: c})
	}
	slices.SortStableFunc(s.jobs, func(a, b job) int { return b.weight - a.weight })
	return total
}

// merge puts together what the workers read and names the devices.
func (p *pass) merge(spaces []*space, snap *source.Snapshot) {
	for i := range p.s.workers {
		out := &p.s.workers[i].out
		if i == 0 {
			snap.Sockets, snap.TCPInfo = out.sockets, out.info
			out.sockets, out.info = nil, nil
		} else {
			all := rows{sockets: snap.Sockets, info: snap.TCPInfo}
			all.adopt(out)
			snap.Sockets, snap.TCPInfo = all.sockets, all.info
		}
		for d := range out.devices {
			if n := p.s.spaces[d.NetNS]; n != nil {
				if name := n.deviceName(d.Index); name != "" {
					snap.NameDevice(d, name)
				}
			}
		}
		clear(out.devices)
	}
	for _, n := range spaces {
		snap.NetNS = append(snap.NetNS, n.inode)
	}
}

// do reads one lane of one namespace.
func (w *worker) do(p *pass, j *job) {
	l := lane{w: w, p: p, job: j, c: j.n.conns[j.lane]}
	if p.everything && w != &p.s.workers[0] { // which has room for all
		w.out.sockets = withRoom(w.out.sockets, j.weight)
	}
	if j.lane == laneUDP {
		l.udp(whose.UDP, protoUDP)
		l.udp(whose.UDPLite, protoUDPLite)
	} else {
		l.tcp()
	}
	if !l.failed {
		p.succeeded() // also where there was nothing to ask for
	}
}

// lane is a worker at one lane of one namespace.
type lane struct {
	w *worker
	p *pass
	*job
	c *conn
	// failed: a dump of this lane has failed.
	failed bool
}

// udp reads the sockets of UDP or UDP-Lite.
func (l *lane) udp(proto whose.Proto, number uint32) {
	q := l.p.q
	states := kernelUDPStates(q.States)
	if states == 0 || !q.Protos.Has(proto) {
		return
	}
	l.eachFamily(proto, q.Families, func(family uint8) bool {
		r := request{proto: number, family: family, states: states, bytecode: l.p.bytecode}
		d := dump{proto: proto, families: q.Families, states: q.States}
		return l.report(l.ask(&r, &d, &l.w.out), &d)
	})
}

// eachFamily calls fn for each wanted family of which there may be sockets,
// until it returns false.
func (l *lane) eachFamily(proto whose.Proto, wanted whose.Set[whose.Family], fn func(family uint8) bool) {
	for _, f := range [...]struct {
		model  whose.Family
		kernel uint8
	}{{whose.IPv4, familyIPv4}, {whose.IPv6, familyIPv6}} {
		if wanted.Has(f.model) && !l.census.none(proto, f.model) && !fn(f.kernel) {
			return
		}
	}
}

// ask makes one dump, again if it was interrupted. The errno that the kernel
// answers with is an error too.
func (l *lane) ask(r *request, d *dump, out *rows) error {
	d.netns = l.n.inode
	begin, fresh := out.place(), *d
	for attempt := 1; ; attempt++ {
		*d = fresh
		l.w.dumps++
		err := l.c.run(l.p.ctx, r, d, l.w.buf, out)
		if err != nil {
			l.n.broken.Store(true)
			if l.p.ctx.Err() == nil {
				out.truncate(begin)
			}
			return err
		}
		if d.errno != 0 {
			out.truncate(begin)
			return fmt.Errorf("%s: %w", d, unix.Errno(d.errno))
		}
		if !d.interrupted {
			return nil
		}
		if attempt == attempts {
			l.w.gaps.Add(whose.Gap{Kind: whose.GapTables, Cause: whose.CauseChanged, Count: 1,
				Detail: d.proto.String() + " sockets changed under every attempt to list them"})
			return nil
		}
		out.truncate(begin)
	}
}

// report turns what came of a dump into gaps. It returns false if there is no
// use in asking the same again for another family.
func (l *lane) report(err error, d *dump) bool {
	if d.malformed > 0 {
		l.w.gaps.Add(whose.Gap{Kind: whose.GapSockets, Cause: whose.CauseFailed, Count: d.malformed,
			Detail: "netlink records that make no sense"})
	}
	switch {
	case err == nil:
		l.p.succeeded()
		return true
	case l.p.ctx.Err() != nil:
		l.failed = true
		return false
	case errors.Is(err, unix.ENOENT) && !l.exists(d.proto):
		return false
	}
	l.failed = true
	l.p.failed(err, dumpGap(err, d.proto))
	return false
}

func (p *pass) succeeded() {
	p.mu.Lock()
	p.dumped = true
	p.mu.Unlock()
}

// exists reports whether the kernel can have sockets of a protocol at all: of
// one that it lacks, as the newest lack UDP-Lite, it knows no dump either.
func (l *lane) exists(proto whose.Proto) bool {
	typ, number := unix.SOCK_DGRAM, protoUDPLite
	switch proto {
	case whose.UDPLite:
		if l.census.known {
			return l.census.hasUDPLite
		}
	case whose.MPTCP:
		if l.census.known {
			return l.census.hasMPTCP
		}
		typ, number = unix.SOCK_STREAM, protoMPTCP
	default:
		return true
	}
	fd, err := unix.Socket(unix.AF_INET, typ|unix.SOCK_CLOEXEC, number)
	if err == nil {
		unix.Close(fd)
	}
	return err != unix.EPROTONOSUPPORT
}

// dumpGap says which sockets are missing and why.
func dumpGap(err error, proto whose.Proto) whose.Gap {
	if !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EOPNOTSUPP) {
		return source.GapOf(whose.GapSockets, 0, fmt.Errorf("%s sockets: %w", proto, err))
	}
	module := proto.String() + "_diag"
	if proto == whose.UDPLite {
		module = "udp_diag"
	}
	missing := &whose.UnsupportedError{What: "sock_diag for " + proto.String()}
	return source.GapOf(whose.GapSockets, 0, whose.WithHint(missing, "load the kernel module %s, or use the source procfs", module))
}
