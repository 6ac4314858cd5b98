package collect

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect/internal/bpfiter"
	"github.com/seed-44df2ae6/whose/collect/internal/procnet"
	"github.com/seed-44df2ae6/whose/collect/internal/sockdiag"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// The names of the sources. Auto is the best of them that works.
const (
	Auto    = "auto"
	BPF     = "bpf"
	Netlink = "netlink"
	Procfs  = "procfs"
)

// SourceNames returns the possible values of [Options].Source.
func SourceNames() []string { return []string{Auto, BPF, Netlink, Procfs} }

// A sourceKey identifies an open source.
type sourceKey struct{ name, where string }

// retryAfter is the pause before another try of a source that could not be
// opened. A collector kept open for days finds newer pins.
const retryAfter = 30 * time.Second

// An openSource is a source with the lock that serialises its use. err is the
// reason why it could not be opened, and tried the time of that.
type openSource struct {
	mu     sync.Mutex
	source source.Source
	err    error
	tried  time.Time
}

// choice is the order in which sources are tried, and how.
type choice struct {
	names []string
	// pinnedOnly: use bpf through a pin or not at all.
	pinnedOnly bool
	// loadOnly: bpf loads its own programs even if there is a pin.
	loadOnly bool
	// auto: nobody named a source, so the answer may be had by another one.
	auto bool
}

// chooseSource decides which sources to try, best first.
func (c *Collector) chooseSource(pl *plan) (choice, error) {
	name := pl.opts.Source
	foreign := pl.opts.foreignProc()
	switch {
	case name != "" && name != Auto && name != BPF && name != Netlink && name != Procfs:
		return choice{}, fmt.Errorf("source %q: %w", name, ErrNoSource)
	case foreign && name != "" && name != Auto && name != Procfs:
		return choice{}, whose.WithHint(
			&whose.UnsupportedError{What: fmt.Sprintf("source %s with the procfs root %s", name, pl.opts.Proc)},
			"only --source procfs reads another root")
	case len(c.only.names) > 0:
		return c.only, nil
	case foreign:
		return choice{names: []string{Procfs}}, nil
	case name != "" && name != Auto:
		return choice{names: []string{name}}, nil
	}
	if len(pl.query.PIDs) > 0 && os.Geteuid() == 0 {
		return chooseForPIDs(pl.fs.Release()), nil
	}
	return choice{names: []string{BPF, Netlink, Procfs}, pinnedOnly: c.pinned(pl) || !c.loads(pl), auto: true}, nil
}

// pinned reports whether there is a pin that the caller may read. It is taken whatever
// the host is like, and so nothing is asked about the host.
func (c *Collector) pinned(pl *plan) bool {
	_, err := c.source(BPF, pl, choice{pinnedOnly: true})
	return err == nil
}

// loads reports whether programs are to be loaded where there is no pin. For sockets
// alone they are not: these are read as fast without. A collector that is kept open
// loads them once, and a caller who may not enter namespaces sees less without them.
func (c *Collector) loads(pl *plan) bool {
	if !pl.needs.Owners() {
		return false
	}
	return c.again() || !mayEnter() && mayLoad() || readHost().loadingPays()
}

// chooseForPIDs decides for a question about a few processes. A pinned fd_walk looks
// at them alone; older pins look at all, and netlink at all sockets of their
// namespaces. Nothing is loaded for it.
func chooseForPIDs(release string) choice {
	c := choice{names: []string{Netlink, Procfs}, pinnedOnly: true, auto: true}
	if kernelHas(release, 6, 2) {
		c.names = []string{BPF, Netlink, Procfs}
	}
	return c
}

// seeingMore returns the sources that see what netlink was refused; none for a whole answer. bpf sees all namespaces, those too that only
// a socket holds, and the descriptors of all processes, if it may be loaded. A caller who may trace every process
// and is refused one will be refused by bpf too. procfs reads the sockets of a
// namespace whose process it sees, if a caller with the privilege may not enter
// it: setns is refused to units and containers by rule.
func (g *gatherer) seeingMore(tried choice) (names []string) {
	if !tried.auto || g.can.FindsHolders || g.holders != nil || g.coverage.Source == Procfs {
		return nil
	}
	refused := func(gap whose.Gap) bool {
		denied := gap.Cause == whose.CausePermission || gap.Cause == whose.CauseLimit
		return denied && (gap.Kind == whose.GapNamespaces || gap.Kind == whose.GapProcesses && !mayTrace())
	}
	loaded := !tried.pinnedOnly && slices.Contains(tried.names, BPF)
	if !loaded && mayLoad() && (slices.ContainsFunc(g.gaps(), refused) || g.seeksNumber()) {
		names = append(names, BPF)
	}
	if mayEnter() && slices.ContainsFunc(g.snap.Gaps, func(gap whose.Gap) bool {
		return gap.Kind == whose.GapNamespaces && gap.Cause == whose.CausePermission
	}) {
		names = append(names, Procfs)
	}
	return names
}

// again reports whether the collector has been used before: it is kept open,
// and loading programs once pays.
func (c *Collector) again() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.passes > 1
}

// openFiles returns the number of open files of the host
// (/proc/sys/fs/file-nr), 0 if it cannot be read.
func openFiles() int {
	text, err := os.ReadFile("/proc/sys/fs/file-nr")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(fields[0])
	return n
}

// source returns the named source, opened once.
func (c *Collector) source(name string, pl *plan, how choice) (*openSource, error) {
	key := sourceKey{name: name}
	switch name {
	case BPF:
		key.where = pinDir(pl.opts)
		if how.pinnedOnly {
			key.name = "pinned"
		}
	case Procfs:
		key.where = pl.opts.Proc
	}
	c.mu.Lock()
	s := c.sources[key]
	if s == nil {
		s = &openSource{}
		if c.sources == nil {
			c.sources = make(map[sourceKey]*openSource)
		}
		c.sources[key] = s
	}
	c.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.source == nil && (s.err == nil || time.Since(s.tried) > retryAfter) {
		s.tried = time.Now()
		s.source, s.err = openNamed(name, pl.opts, how)
	}
	return s, s.err
}

func pinDir(opts *Options) string {
	if opts.PinDir != "" {
		return opts.PinDir
	}
	return DefaultPinDir
}

func openNamed(name string, opts *Options, how choice) (source.Source, error) {
	switch name {
	case BPF:
		return openBPF(opts, how)
	case Netlink:
		return opened(sockdiag.Open(sockdiag.Options{}))
	default:
		return opened(procnet.Open(procnet.Options{Root: opts.Proc, Captured: opts.CapturedProc}))
	}
}

func openBPF(opts *Options, how choice) (source.Source, error) {
	o := bpfiter.Options{PinDir: pinDir(opts)}
	switch {
	case how.pinnedOnly:
		return opened(bpfiter.OpenPinned(o.PinDir, o))
	case how.loadOnly:
		return opened(bpfiter.Load(o))
	}
	return opened(bpfiter.Open(o))
}

// opened makes a source that could not be opened nil, and not a nil pointer in
// an interface.
func opened[S source.Source](s S, err error) (source.Source, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

// read has the source append to snap the answer to q.
func (s *openSource) read(ctx context.Context, q *source.Query, snap *source.Snapshot) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.source.Read(ctx, q, snap)
}

// readSockets reads the sockets by the first source that answers. Refusals are
// an error only if no source answers; [Diagnose] reports them.
func (g *gatherer) readSockets(ctx context.Context, order choice) error {
	var errs []error
	for _, name := range order.names {
		g.coverage.Source = name
		s, err := g.collector.source(name, g.plan, order)
		if err == nil {
			s, err = g.complete(s, order)
		}
		if err == nil {
			err = g.readFrom(ctx, s)
		}
		if err == nil && g.query.AsksNothing() {
			g.coverage.Source = "" // it was not asked
		}
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		g.snap.Reset()
		errs = append(errs, fmt.Errorf("source %s: %w", name, err))
	}
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}
