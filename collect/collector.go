package collect

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/seed-44df2ae6/whose/internal/proc"
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
	idle    []*stages
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
	began := time.Now()
	pl, err := c.plan(opts, began)
	if err != nil {
		return nil, err
	}
	within, cancel := pl.within(ctx, began)
	defer cancel()
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

// Prepare opens the source that a collection with these options tries first,
// which may load programs into the kernel, so that it need not wait for that.
// Whoever has something else to do meanwhile calls it beside that. The collection
// reports what fails.
func (c *Collector) Prepare(opts *Options) {
	pl, err := c.plan(opts, time.Now())
	if err != nil {
		return
	}
	if order, err := c.chooseSource(pl); err == nil && !pl.query.AsksNothing() {
		_, _ = c.source(order.names[0], pl, order) // the collection tries it again, or the next
	}
}

// plan makes the plan of a question; nil asks for what the zero Options do.
func (c *Collector) plan(opts *Options, now time.Time) (*plan, error) {
	if opts == nil {
		opts = &Options{}
	}
	fs, err := c.root(opts.Proc)
	if err != nil {
		return nil, err
	}
	return newPlan(opts, fs, now)
}

// stages are the values of a collection, each made of the one before: gather,
// join, derive, describe, choose, order. Their memory is used again.
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

// run takes a plan through the stages. within is the part of ctx in which all has
// to be read: where that ends, what was read until then is the answer; where ctx
// itself ends, there is none.
func (c *Collector) run(ctx, within context.Context, pl *plan, s *stages) error {
	if err := c.read(ctx, within, pl, s); err != nil {
		return err
	}
	s.derived.derive(&s.joined)
	s.described = describe(within, &s.derived)
	if within.Err() != nil {
		s.gathered.noteDeadline() // processes, users or namespaces may lack their names
	}
	s.ordered.order(s.chosen.choose(&s.described))
	return ctx.Err()
}

// read is the first two stages, with a second look at what has no owner.
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

// take returns the stages of an earlier collection, where there are any.
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
