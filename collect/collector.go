package collect

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/proc"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// ErrNoField is what errors.Is finds where a field was named that there is not.
var ErrNoField = errors.New("no such field")

// ErrNoSource is what errors.Is finds where a source was named that there is not.
var ErrNoSource = errors.New("no such source")

// A Collector makes collections one after the other and reuses buffers,
// descriptors and loaded programs between them. The zero value works. It is
// safe for concurrent use: collections that overlap each have their own
// buffers and take turns at a source. Whoever opened it closes it.
type Collector struct {
	mu      sync.Mutex
	roots   map[string]*proc.FS
	sources map[sourceKey]*openSource
	idle    []*pass
	passes  int
	// confirmed are sockets with a file that no process was found to hold, by
	// inode: they are not looked for again in each collection.
	confirmed *proc.Inodes
	// only, where it names a source, is tried and nothing else; for Diagnose.
	only choice
}

// Open returns a collector. Nothing is opened or read before the first
// collection.
func Open() *Collector { return &Collector{} }

// Close gives back what the collector holds. A collection that is under way
// must have ended.
func (c *Collector) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for _, s := range c.sources {
		if s.source != nil {
			errs = append(errs, s.source.Close())
		}
	}
	for _, fs := range c.roots {
		errs = append(errs, fs.Close())
	}
	c.roots, c.sources, c.idle = nil, nil, nil
	return errors.Join(errs...)
}

// Collect makes one collection. What could not be seen is no error, but stands
// in the answer's coverage. There is no answer where ctx ends, where opts name a
// source or a field that does not exist (ErrNoSource, ErrNoField), or where no
// source works.
func Collect(ctx context.Context, opts *Options) (*Answer, error) {
	c := Open()
	defer c.Close()
	return c.Collect(ctx, opts)
}

// Collect is as the function Collect, with the collector's buffers and sources.
func (c *Collector) Collect(ctx context.Context, opts *Options) (*Answer, error) {
	p, err := c.collect(ctx, opts)
	if err != nil {
		return nil, err
	}
	return &Answer{Coverage: p.coverage, collector: c, pass: p}, nil
}

// Prepare opens the source that a collection with these options tries first,
// which may load programs into the kernel, so that it need not wait for that.
// Whoever has something else to do meanwhile calls it beside that. What fails is
// told by the collection.
func (c *Collector) Prepare(opts *Options) {
	if opts == nil {
		opts = &Options{}
	}
	fs, err := c.root(opts.Proc)
	if err != nil {
		return
	}
	pl, err := newPlan(opts, env(fs.SelfNetNS(), time.Now()))
	if err != nil {
		return
	}
	if order, err := c.chooseSource(pl); err == nil && !pl.query.AsksNothing() {
		_, _ = c.source(order.names[0], pl, order) // the collection tries it again, or the next
	}
}

// collect makes one collection.
func (c *Collector) collect(ctx context.Context, opts *Options) (*pass, error) {
	if opts == nil {
		opts = &Options{}
	}
	began := time.Now()
	fs, err := c.root(opts.Proc)
	if err != nil {
		return nil, err
	}
	pl, err := newPlan(opts, env(fs.SelfNetNS(), began))
	if err != nil {
		return nil, err
	}
	p := c.take()
	p.plan, p.fs = pl, fs
	if err := c.fill(ctx, p, began); err != nil {
		c.giveBack(p)
		return nil, err
	}
	return p, nil
}

// fill makes the answer to the plan of p, in the time that is allowed for it.
// Where that runs out, what was read until then is the answer; where the
// caller's context ends, there is none.
func (c *Collector) fill(ctx context.Context, p *pass, began time.Time) error {
	within := ctx
	if allowed := p.plan.opts.Timeout; allowed > 0 {
		var cancel context.CancelFunc
		within, cancel = context.WithDeadline(ctx, began.Add(allowed))
		defer cancel()
	}
	if !p.plan.query.AsksNothing() {
		err := c.gather(within, p)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case within.Err() != nil && errors.Is(err, within.Err()):
			p.cutShort()
		case err != nil:
			return err
		}
	}
	p.finish(within, began)
	return ctx.Err()
}

// root returns the opened procfs root.
func (c *Collector) root(path string) (*proc.FS, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if fs := c.roots[path]; fs != nil {
		return fs, nil
	}
	fs, err := proc.Open(path)
	if err != nil {
		return nil, err
	}
	if c.roots == nil {
		c.roots = make(map[string]*proc.FS)
	}
	c.roots[path] = fs
	return fs, nil
}

// take returns a pass's buffers, those of an earlier one where there are any.
func (c *Collector) take() *pass {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.passes++
	if n := len(c.idle); n > 0 {
		p := c.idle[n-1]
		c.idle = c.idle[:n-1]
		return p
	}
	return &pass{}
}

// giveBack keeps a pass's buffers for the next one.
func (c *Collector) giveBack(p *pass) {
	p.reset()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = append(c.idle, p)
}

// A pass is one collection under way: its buffers and what stands in them.
type pass struct {
	plan *plan
	fs   *proc.FS
	snap source.Snapshot
	walk proc.Walk
	// can are the capabilities of the source that reads the sockets.
	can source.Capabilities
	// holders stands for the walk where it finds who holds sockets and not the
	// rest of them, nil elsewhere; held is what it read.
	holders *openSource
	held    source.Snapshot
	joined
	derived
	order orderer
	out   maker
	// coverage is the account of this pass.
	coverage whose.Coverage
	// refs are the namespaces that were visited.
	refs []source.NetNSRef
	// refGaps are the namespaces that there is no way into.
	refGaps []whose.Gap
	// narrow tells that only namespaces of the processes that the question is
	// about were listed.
	narrow bool
	// gone are the inodes that a second look did not find any more.
	gone map[uint64]bool
}

// reset empties the pass and keeps its memory.
func (p *pass) reset() {
	p.snap.Reset()
	p.held.Reset()
	p.walk.Reset()
	p.holders, p.can = nil, source.Capabilities{}
	p.plan, p.fs, p.gone, p.refGaps, p.narrow = nil, nil, nil, nil, false
	p.coverage = whose.Coverage{}
	p.refs = p.refs[:0]
	p.sockets, p.procs = nil, nil
	p.out = maker{}
}

// finish turns what was read into the answer: what follows from the whole, the
// rest of the filter, the order and the coverage.
func (p *pass) finish(ctx context.Context, began time.Time) {
	p.derive()
	p.out = p.maker(ctx)
	if ctx.Err() != nil {
		p.noteDeadline() // processes, users or namespaces may lack their names
	}
	p.choose()
	p.sort()
	p.shed()
	p.account(began)
}

// manySockets is from how many sockets on peers are looked for while listeners
// and reasons are: neither needs the other.
const manySockets = 16 << 10

// derive finds directions, peers and reasons, as far as they are needed.
func (p *pass) derive() {
	needs := p.plan.needs
	p.listener, p.peer, p.reason = p.listener[:0], p.peer[:0], p.reason[:0]
	p.partial = p.late()
	var peers sync.WaitGroup
	defer peers.Wait()
	if needs.Owners() && p.plan.peers {
		if len(p.sockets) >= manySockets {
			peers.Go(func() { p.findPeers(p.sockets) })
		} else {
			p.findPeers(p.sockets)
		}
	}
	if needs&(whose.NeedDirection|whose.NeedOwners) != 0 {
		p.findListeners(p.sockets)
	}
	if needs.Owners() {
		hidden := p.partial || p.hasGap(whose.GapProcesses)
		p.findReasons(&p.joined, hidden, func(inode uint64) bool { return p.gone[inode] })
	}
}

// choose keeps the sockets that meet the question.
func (p *pass) choose() {
	p.order.reset(len(p.sockets))
	pl := p.plan
	scratch := p.out
	scratch.scratch = true
	var s whose.Session
	narrow := pl.admits() != nil
	for i := range p.sockets {
		if !pl.wants(&p.sockets[i]) {
			continue
		}
		if narrow && p.ownerless(i) {
			continue
		}
		if pl.match != nil {
			scratch.session(uint32(i), &s)
			if !pl.match.Match(&s) {
				continue
			}
		}
		p.order.places = append(p.order.places, place{at: uint32(i)})
	}
}

// ownerless reports whether no process at all can be named for socket i.
func (p *pass) ownerless(i int) bool {
	_, named := p.firstProc(uint32(i))
	return !named
}

// firstProc returns the first process that is named for the socket: the first
// that holds it, or that holds the listener whose queue it is in.
func (p *pass) firstProc(i uint32) (proc uint32, ok bool) {
	holders := p.holdersOf(int(i))
	if len(holders) == 0 && p.reason[i] == whose.ReasonAcceptQueue {
		holders = p.holdersOf(int(p.listener[i] - 1))
	}
	if len(holders) == 0 {
		return 0, false
	}
	return holders[0].proc, true
}

func (p *pass) sort() {
	first := func(uint32) (uint32, bool) { return 0, false }
	if p.plan.needs.Owners() {
		first = p.firstProc
	}
	p.order.byDefault(&p.joined, first)
	if len(p.plan.order) > 0 {
		scratch := p.out
		scratch.scratch = true
		p.order.byFields(p.plan.order, scratch.session)
	}
}

// account completes the coverage.
func (p *pass) account(began time.Time) {
	c := &p.coverage
	c.Sessions = len(p.order.places)
	c.OwnersAsked = p.plan.needs.Owners()
	if c.OwnersAsked {
		for i := range p.order.places {
			if r := p.reason[p.order.places[i].at]; r == whose.ReasonNone {
				c.Owned++
			} else {
				c.Ownerless[r]++
			}
		}
	}
	c.Namespaces = len(p.snap.NetNS)
	c.Duration = time.Since(began)
}
