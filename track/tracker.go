package track

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/internal/proc"
	"github.com/seed-44df2ae6/whose/track/internal/bpfevent"
	"github.com/seed-44df2ae6/whose/track/internal/ledger"
)

// A Tracker follows sessions from [Start] until [Tracker.Close]. It is safe for
// concurrent use, but has one stream of events for one reader. The caller of
// Start closes it.
type Tracker struct {
	plan      *plan
	clock     Clock
	fs        *proc.FS     // nil: processes are unknown
	kernel    kernelSource // nil: snapshots alone
	collector *collect.Collector
	snapshot  func(ctx context.Context, first bool) (*sight, error)
	names     *ledger.Names
	queue     *ledger.Queue
	cancel    context.CancelFunc
	running   sync.WaitGroup
	// lookedUntil is the time by the boot clock up to which records are applied, of a
	// source that looks.
	lookedUntil atomic.Uint64
	looks       bool
	// kick wakes the goroutine of keepTime.
	kick chan struct{}
	// asking: users are being asked for.
	asking atomic.Bool
	// lookedAt and workedAt are the times, by the boot clock, of the last look of the
	// source, if it reads in looks, and of the last periodic work.
	lookedAt, workedAt atomic.Int64

	mu     sync.RWMutex
	engine *ledger.Engine
	source Source
	stats  Stats
	// meanwhile holds the records that come during the first snapshot.
	meanwhile []bpfevent.Record
	live      bool
	// inHand: the goroutine that reads records holds mu for a pass. Only this
	// goroutine uses it; taken is the number of records taken since.
	inHand bool
	taken  int
	// told are the losses reported by events, lostAtStart the records beyond
	// maxMeanwhile.
	told        Losses
	lostAtStart uint64
	closed      bool

	standingMu sync.Mutex
	// standing are the sessions of the first snapshot still to report.
	standing []whose.Session
	began    time.Time
}

// maxMeanwhile bounds the records kept during the first snapshot.
const maxMeanwhile = 1 << 18

// Start begins to follow sessions. It attaches to the kernel first and takes a
// snapshot after, so there is no gap between the two and nothing is reported
// twice. It returns when the live table holds the standing sessions. ctx bounds
// this beginning only.
//
// Without the privilege or the kernel for the source "bpf", the source "auto"
// takes the next best. [Tracker.Source] returns which, and why not a better
// one.
func Start(ctx context.Context, opts *Options) (*Tracker, error) {
	root := ""
	if opts != nil {
		root = opts.Proc
	}
	fs, err := proc.OpenWithin(ctx, root, false)
	if err != nil {
		return nil, fmt.Errorf("follow sessions: %w", err)
	}
	p, err := newPlan(ctx, opts, fs)
	if err != nil {
		return nil, errors.Join(err, fs.Close())
	}
	asked := p.clock.Now()
	t := newTracker(p)
	var preparing sync.WaitGroup
	preparing.Go(func() { t.collector.Prepare(p.firstOptions()) })
	kernel, source, err := p.openSource(ctx)
	preparing.Wait()
	if err != nil {
		return nil, errors.Join(err, t.Close())
	}
	t.follow(kernel, source)
	if err := t.start(ctx); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	t.mu.Lock()
	t.stats.Start = p.clock.Now().Sub(asked)
	t.mu.Unlock()
	return t, nil
}

// newTracker returns a tracker before its beginning, without a source.
func newTracker(p *plan) *Tracker {
	t := &Tracker{
		plan: p, clock: p.clock, fs: p.fs,
		collector: p.opts.Collector, kick: make(chan struct{}, 1),
	}
	if t.collector == nil {
		t.collector = collect.Open()
	}
	t.snapshot = t.collect
	t.queue = ledger.NewQueue(p.opts.MaxEvents, t.clock.Now, func(n uint64) ledger.Event {
		return ledger.LossOf(ledger.Loss{N: n, Cause: whose.CauseLost, Why: whyReader}, t.clock.Now(), 0)
	})
	t.names = ledger.NewNames(p.fs, p.needs)
	t.engine = ledger.New(p.opts.MaxSessions, t.names, p.want, t.emit)
	return t
}

// follow sets the source, nil for snapshots alone.
func (t *Tracker) follow(kernel kernelSource, source Source) {
	t.kernel, t.source = kernel, source
	t.engine.KnownOnly = source.Name == SourceNetlink
	if k, ok := kernel.(lookingSource); ok {
		t.looks = true
		t.engine.HoldEvents()
		k.OnLook(t.takeHold, t.looked)
	}
}

// looked emits the events until a moment ago, in the order of their times.
func (t *Tracker) looked(until uint64) {
	t.lookedAt.Store(int64(t.clock.Boot()))
	t.takeHold()
	defer t.letGo()
	if t.live {
		t.engine.Settle(until)
	}
	t.lookedUntil.Store(until)
}

// settleAll emits all held events.
func (t *Tracker) settleAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.engine.Settle(math.MaxUint64)
}

// emit puts events into the queue. The engine's lock is held.
func (t *Tracker) emit(events []ledger.Event) {
	t.stats.Events += uint64(len(events))
	t.queue.Put(events...)
}

// start attaches, takes the snapshot, and merges.
func (t *Tracker) start(ctx context.Context) error {
	run, cancel := context.WithCancel(context.Background())
	t.cancel = cancel
	t.setBase()
	t.engine.Began = bootNanos(t.clock.Boot())
	t.began = t.clock.Now()
	if t.kernel != nil {
		t.running.Go(func() { t.read(run) })
	}
	t.workedAt.Store(int64(t.clock.Boot()))
	took := t.clock.Now()
	seen, err := t.snapshot(ctx, true)
	if err != nil {
		return fmt.Errorf("follow sessions: take snapshot: %w", err)
	}
	snapshot := seen.all()
	seen.close()
	t.stats.Snapshot = t.clock.Now().Sub(took)
	t.learnUsersOf(ctx, snapshot)
	t.goLive(snapshot, seen.coverage)
	t.running.Go(func() { t.keepTime(run) })
	t.running.Go(func() { t.keepReconciling(run) })
	return nil
}

// goLive merges the first snapshot with the kernel's records since.
func (t *Tracker) goLive(snapshot []whose.Session, cov whose.Coverage) {
	t.mu.Lock()
	defer t.mu.Unlock()
	standing := t.engine.Begin(snapshot, t.meanwhile)
	t.meanwhile, t.live = nil, true
	t.source.Gaps.Add(cov.Gaps...)
	t.stats.Namespaces = cov.Namespaces
	if !t.plan.opts.NoInitial && t.plan.opts.Events.Has(whose.EventStanding) {
		t.standing = standing
	}
}

// setBase relates the boot clock to the wall clock.
func (t *Tracker) setBase() {
	base := t.clock.Now().Add(-t.clock.Boot()).UnixNano()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.engine.Base = base
}

// read reads the kernel's records until the tracker is closed.
func (t *Tracker) read(ctx context.Context) {
	err := t.kernel.Read(ctx, t.record)
	if ctx.Err() != nil {
		return // Close ends the queue
	}
	if err == nil {
		err = errors.New("the source ended")
	}
	t.settleAll()
	t.queue.End(fmt.Errorf("follow sessions: %w", err))
}

// handful is the number of records taken before others may have the lock: 100
// µs.
const handful = 256

// takeHold takes the lock for the reading goroutine until letGo.
func (t *Tracker) takeHold() {
	if !t.inHand {
		t.mu.Lock()
		t.inHand = true
	}
}

func (t *Tracker) letGo() {
	if t.inHand {
		t.inHand, t.taken = false, 0
		t.mu.Unlock()
	}
}

// record takes one record. During a pass, which brings thousands, the lock is
// held already.
func (t *Tracker) record(r *bpfevent.Record) error {
	if t.inHand {
		if t.taken++; t.taken == handful {
			t.letGo()
			t.takeHold()
		}
	} else {
		t.mu.Lock()
		defer t.mu.Unlock()
	}
	switch {
	case t.live:
		waited := t.engine.Pending()
		t.engine.Apply(r)
		if waited == 0 && t.engine.Pending() > 0 {
			t.wake()
		}
	case len(t.meanwhile) < maxMeanwhile:
		kept := *r
		kept.Text, kept.Exe = slices.Clone(r.Text), slices.Clone(r.Exe)
		t.meanwhile = append(t.meanwhile, kept)
	default:
		t.lostAtStart++
	}
	return nil
}

func (t *Tracker) wake() {
	select {
	case t.kick <- struct{}{}:
	default:
	}
}

// Events returns the stream of events, for one reader at a time. It begins with
// the standing sessions ([whose.EventStanding]) unless [Options].NoInitial. It
// ends when ctx ends, which is no error. It also ends after Close, when every
// event until then has been returned. An error ends it too: the source broke
// down.
//
// The events of one session come in order. With the source "bpf" all events
// come in the order of their times, with these exceptions, which are known
// later: a connection that nobody has accepted yet, for up to a second; a
// connect refused at once, for a quarter of one; the findings of a snapshot
// ([whose.EventOwned]); and events beyond 16,384 that wait for the order. The
// ordering takes a tenth of a second.
//
// A reader may stop and call Events again; it goes on where it was. A slow
// reader loses nothing until Options.MaxEvents events wait for it. Events
// beyond them are counted and reported as [whose.EventLost].
func (t *Tracker) Events(ctx context.Context) iter.Seq2[whose.Event, error] {
	return func(yield func(whose.Event, error) bool) {
		var infos []whose.TCPInfo
		err := t.each(ctx, func() *whose.TCPInfo {
			if len(infos) == 0 {
				infos = make([]whose.TCPInfo, infoBlock)
			}
			info := &infos[0]
			infos = infos[1:]
			return info
		}, func(e *whose.Event) bool { return yield(*e, nil) })
		if err != nil {
			yield(whose.Event{}, err)
		}
	}
}

// infoBlock is the number of figures allocated at once; a reader that keeps one
// event keeps 2 KiB.
const infoBlock = 32

// Each calls fn for each event of [Tracker.Events], until fn returns false or
// the stream ends, and returns the stream's error. The event, and the figures
// in its Session.TCP, are valid until fn returns. Each is for readers of a
// hundred thousand events a second.
func (t *Tracker) Each(ctx context.Context, fn func(*whose.Event) bool) error {
	var info whose.TCPInfo
	return t.each(ctx, func() *whose.TCPInfo { return &info }, fn)
}

func (t *Tracker) each(ctx context.Context, info func() *whose.TCPInfo, fn func(*whose.Event) bool) error {
	var e whose.Event
	for ctx.Err() == nil && t.nextStanding(&e) {
		if !fn(&e) {
			return nil
		}
	}
	for {
		m, more, err := t.queue.Next(ctx)
		if !more {
			return err
		}
		m.Write(&e, info)
		if !fn(&e) {
			return nil
		}
	}
}

// nextStanding makes the event of the next standing session.
func (t *Tracker) nextStanding(e *whose.Event) bool {
	t.standingMu.Lock()
	defer t.standingMu.Unlock()
	if len(t.standing) == 0 {
		t.standing = nil
		return false
	}
	*e = whose.Event{Time: t.began, Kind: whose.EventStanding, Lifetime: whose.Lifetime{StoodBefore: true}, Session: t.standing[0]}
	t.standing = t.standing[1:]
	return true
}

// Sessions returns the sessions of the live table that meet the expression, nil
// for all, in no order. It does not touch the kernel. Each session is current
// when it is returned, and may be kept. Owners have no descriptors.
func (t *Tracker) Sessions(where filter.Expr) iter.Seq[whose.Session] {
	return func(yield func(whose.Session) bool) {
		var some []whose.Session
		for i := 0; ; i++ {
			t.mu.RLock()
			more := i+1 < t.engine.Slabs()
			some = t.engine.Ask(where, t.env(), bootNanos(t.clock.Boot())).AppendSlab(some[:0], i)
			t.mu.RUnlock()
			for i := range some {
				if !yield(some[i]) {
					return
				}
			}
			if !more {
				return
			}
		}
	}
}

// Append appends to dst the sessions of the live table that meet the
// expression, nil for all, in no order. All are as of one moment.
func (t *Tracker) Append(dst []whose.Session, where filter.Expr) []whose.Session {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.engine.Ask(where, t.env(), bootNanos(t.clock.Boot())).AppendAll(dst)
}

// Visit calls fn with the sessions of [Tracker.Append], in no order and as of one moment,
// and makes no list of them. A session is valid until fn returns; its lists and processes
// may be kept. Without peers they lack the owners of their other ends, which take as
// long to find as the rest. Following stands still meanwhile, and fn must not call the
// tracker.
func (t *Tracker) Visit(where filter.Expr, peers bool, fn func(*whose.Session)) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	t.engine.Ask(where, t.env(), bootNanos(t.clock.Boot())).Visit(peers, fn)
}

// Count returns the number of sessions in the live table that meet the
// expression, nil for all. It does not touch the kernel, and builds only the
// sessions that the expression needs to see.
func (t *Tracker) Count(where filter.Expr) int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.engine.Ask(where, t.env(), bootNanos(t.clock.Boot())).Count()
}

// env returns the facts of this host and moment for filters. Users are those of
// the tracker's own filter.
func (t *Tracker) env() filter.Env {
	env := t.plan.env
	env.Now = t.clock.Now()
	return env
}

// Source describes the source of the tracker.
func (t *Tracker) Source() Source {
	t.mu.RLock()
	defer t.mu.RUnlock()
	s := t.source
	s.Gaps = slices.Clone(s.Gaps)
	return s
}

// Stats returns the account of the tracker until now.
func (t *Tracker) Stats() Stats {
	t.mu.RLock()
	defer t.mu.RUnlock()
	s, e := t.stats, t.engine.Stats()
	s.Records, s.Sessions, s.Flows, s.Processes = e.Records, e.Sessions, e.Flows, e.Processes
	s.Lost = t.told
	s.Lost.Table, s.Lost.Start, s.Lost.Reader = e.Lost, t.lostAtStart, t.queue.Lost()
	return s
}

// Behind returns the time since the tracker last did all of its work: it read what
// the kernel had, and reported losses. While it is well this is at most two seconds;
// more says that it hangs, or gets no processor.
func (t *Tracker) Behind() time.Duration {
	last := t.workedAt.Load()
	if _, ok := t.kernel.(lookingSource); ok {
		last = min(last, t.lookedAt.Load())
	}
	return t.clock.Boot() - time.Duration(last)
}

// Close stops following and releases programs, descriptors and threads. Events
// until then, the last losses included, can still be read from
// [Tracker.Events]. The live table stays as it was. Close may be called more
// than once.
func (t *Tracker) Close() error {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil
	}
	t.closed = true
	t.mu.Unlock()
	if t.cancel != nil {
		t.cancel()
	}
	t.running.Wait()
	t.mu.Lock()
	t.engine.Expire(^uint64(0))
	t.mu.Unlock()
	t.tellLosses()
	t.settleAll()
	t.queue.End(nil)
	var errs []error
	if t.kernel != nil {
		errs = append(errs, t.kernel.Close())
	}
	if t.plan.opts.Collector == nil {
		errs = append(errs, t.collector.Close())
	}
	if t.fs != nil {
		errs = append(errs, t.fs.Close())
	}
	return errors.Join(errs...)
}
