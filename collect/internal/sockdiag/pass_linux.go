package sockdiag

// One call of Read: the work in the namespaces, its division among workers, and
// the join of their rows. The work in one namespace is in lane_linux.go and
// tcp_linux.go.

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// A kernel holds the abilities of the running kernel.
type kernel struct {
	// countsMPTCP: it counts MPTCP sockets in /proc/net/protocols (6.3).
	// listsBound: it lists TCP sockets in state CLOSE, bound and no more (6.8).
	// dumpsAtOnce: it makes several dumps of one protocol at once (6.9).
	countsMPTCP, listsBound, dumpsAtOnce bool
	// oneFamily: the kernel does not list both families at once.
	oneFamily atomic.Bool
}

// unlisted returns the gaps of a kernel without a table of bound sockets.
func (k *kernel) unlisted(q *source.Query) whose.Gaps {
	if k.listsBound || !q.States.Has(whose.Close) || !q.Protos.Has(whose.TCP) {
		return nil
	}
	missing := &whose.UnsupportedError{What: "listing of tcp sockets that are bound and neither listen nor connect", Since: "6.8"}
	return whose.Gaps{source.GapOf(whose.GapSockets, 0, whose.WithHint(missing, "use the source bpf"))}
}

// A pass is one call of Read.
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

// A job is one lane of one namespace, done by one worker.
type job struct {
	n    *space
	lane int
	// half is the condition of one half of a split dump, empty for all.
	half   []byte
	weight int
	census census
}

// A worker makes dumps, one after the other.
type worker struct {
	buf []byte
	out rows
	// mptcp holds the MPTCP sockets of the namespace at hand, of all states.
	mptcp rows
	gaps  whose.Gaps
	// dumps counts the dumps of this pass.
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

// failed notes a failure and its gap.
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
	// The first worker takes the largest job, the others the smallest: only the
	// rows of the others are copied.
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

// withRoom returns the sockets with room for n more. Unlike [slices.Grow] it does
// not touch the room, which takes no memory until it is used.
func withRoom(sockets []source.Socket, n int) []source.Socket {
	if cap(sockets)-len(sockets) >= n {
		return sockets
	}
	return append(make([]source.Socket, 0, len(sockets)+n), sockets...)
}

// plan lists the jobs by the contents of the namespaces, the largest first. It
// returns the approximate number of sockets.
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

// merge puts the rows of the workers together and names the devices.
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
