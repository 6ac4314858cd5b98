package collect

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/seed-44df2ae6/whose/internal/proc"
)

// ErrNoField reports a field name that does not exist. Use it with errors.Is.
var ErrNoField = errors.New("no such field")

// ErrNoSource reports a source name that does not exist. Use it with errors.Is.
var ErrNoSource = errors.New("no such source")

// A Collector makes collections one after the other and reuses buffers,
// descriptors and loaded programs between them. The zero value works. It is
// safe for concurrent use: overlapping collections each have their own buffers
// and take turns at a source. Whoever opened it closes it.
type Collector struct {
	mu      sync.Mutex
	roots   map[string]*proc.FS
	sources map[sourceKey]*openSource
	idle    []*stages
	passes  int
	// confirmed are sockets with a file and without a known holder, by inode.
	// Later collections do not look for them again.
	confirmed *proc.Inodes
	// known are the facts of processes that earlier collections read.
	known known
	// groups are the control groups that one of them read.
	groups keptGroups
	// only, if it names a source, is the one source to try; for [Diagnose].
	only choice
}

// Open returns a collector. It opens and reads nothing before the first
// collection.
func Open() *Collector { return &Collector{} }

// Close releases everything the collector holds. A collection under way must
// have ended.
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

// Release gives up the buffers of earlier collections, which the next one would have
// used again. For a collector that is kept open, after a large answer.
func (c *Collector) Release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = nil
}

// Collect makes one collection. Unseen things are no error: the answer's
// coverage accounts for them. There is no answer if ctx ends, if opts name an
// unknown source or field ([ErrNoSource], [ErrNoField]), or if no source works.
func Collect(ctx context.Context, opts *Options) (*Answer, error) {
	c := Open()
	defer c.Close()
	return c.Collect(ctx, opts)
}

// Collect does the same as the function [Collect], with the collector's buffers
// and sources.
func (c *Collector) Collect(ctx context.Context, opts *Options) (*Answer, error) {
	began := time.Now()
	if opts == nil {
		opts = &Options{}
	}
	within, cancel := opts.within(ctx, began)
	defer cancel()
	if !opts.foreign() {
		return c.collect(ctx, within, opts, began)
	}
	// A directory of the caller's may lie on a file system that does not answer.
	var a *Answer
	var err error
	if !proc.Await(within, func() { a, err = c.collect(ctx, within, opts, began) }) {
		return nil, cmp.Or(ctx.Err(), opts.noAnswer(time.Since(began)))
	}
	return a, err
}

func (c *Collector) collect(ctx, within context.Context, opts *Options, began time.Time) (*Answer, error) {
	pl, err := c.plan(within, opts, began)
	if err != nil {
		return nil, err
	}
	s := c.take()
	if err := c.run(ctx, within, pl, s); err != nil {
		c.giveBack(s)
		return nil, err
	}
	a := &Answer{Coverage: s.account(), collector: c, stages: s}
	s.shed()
	if cov := &a.Coverage; len(cov.Gaps) > 0 {
		cov.Gaps.Advise(caller(cov.Pinned))
	}
	a.Coverage.Duration = time.Since(began)
	return a, nil
}

// Prepare opens the source that a collection with these options tries first.
// This may load programs into the kernel, and the collection need not wait for
// it. Call Prepare beside other work. The collection reports its failures.
func (c *Collector) Prepare(opts *Options) {
	if opts == nil {
		opts = &Options{}
	}
	pl, err := c.plan(context.Background(), opts, time.Now())
	if err != nil {
		return
	}
	if order, err := c.chooseSource(pl); err == nil && !pl.query.AsksNothing() {
		_, _ = c.source(order.names[0], pl, order) // the collection tries it again, or the next
	}
}

// plan makes the plan of a question.
func (c *Collector) plan(ctx context.Context, opts *Options, now time.Time) (*plan, error) {
	fs, err := c.root(opts.Proc, opts.CapturedProc)
	if err != nil {
		return nil, err
	}
	return newPlan(ctx, opts, fs, now)
}

// stages are the values of a collection, each made of the one before: gather,
// join, derive, describe, choose, order. Later collections reuse their memory.
type stages struct {
	gathered  gathered
	joined    joined
	derived   derived
	described described
	chosen    chosen
	ordered   ordered
}

// reset forgets the collection and keeps the memory.
func (s *stages) reset() {
	s.gathered.reset()
	s.joined.reset()
	s.derived.joined, s.described, s.chosen.described, s.ordered.chosen = nil, described{}, nil, nil
}

// run takes a plan through the stages. All reading has to end with within, a
// part of ctx. If within ends, the answer holds everything read until then. If
// ctx itself ends, there is no answer.
func (c *Collector) run(ctx, within context.Context, pl *plan, s *stages) error {
	if err := c.read(ctx, within, pl, s); err != nil {
		return err
	}
	s.derived.derive(&s.joined)
	s.described = describe(within, &s.derived, &c.known, &c.groups)
	if within.Err() != nil {
		s.gathered.noteDeadline() // processes, users or namespaces may lack their names
	}
	s.ordered.order(s.chosen.choose(&s.described))
	s.derived.awaitPeers()
	return ctx.Err()
}

// read runs the first two stages and looks a second time for missing owners.
func (c *Collector) read(ctx, within context.Context, pl *plan, s *stages) error {
	s.gathered.plan = pl
	g := gatherer{gathered: &s.gathered, collector: c, query: pl.query}
	err := g.gather(within)
	if err == nil {
		err = g.lookAgain(within, s.joined.join(&s.gathered))
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil:
		s.gathered.account()
		return nil
	case within.Err() == nil || !errors.Is(err, within.Err()):
		return err
	}
	g.cutShort()
	s.joined.join(&s.gathered)
	s.gathered.account()
	s.gathered.noteDeadline()
	return nil
}

// root returns the opened procfs root. It is opened without the lock: that may
// take for ever.
func (c *Collector) root(path string, captured bool) (*proc.FS, error) {
	if fs := c.opened(path); fs != nil {
		return fs, nil
	}
	fs, err := proc.OpenWithin(context.Background(), path, captured)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if other := c.roots[path]; other != nil {
		return other, fs.Close()
	}
	if c.roots == nil {
		c.roots = make(map[string]*proc.FS)
	}
	c.roots[path] = fs
	return fs, nil
}

func (c *Collector) opened(path string) *proc.FS {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.roots[path]
}

// take returns the stages of an earlier collection, if there are any.
func (c *Collector) take() *stages {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.passes++
	if n := len(c.idle); n > 0 {
		s := c.idle[n-1]
		c.idle = c.idle[:n-1]
		return s
	}
	return &stages{}
}

// giveBack keeps the memory of a collection for the next one.
func (c *Collector) giveBack(s *stages) {
	s.reset()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = append(c.idle, s)
}
