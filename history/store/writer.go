package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
)

// The defaults of [Options].
const (
	DefaultDir   = "/var/lib/whose"
	DefaultDays  = 14
	DefaultBytes = 2 << 30
)

const (
	// batch is the number of entries after which a commit is due.
	batch = 5000
	// sealed is the number of entries of a block of the usual size.
	sealed = 4096
	// sealAfter is the longest time that small blocks wait for others.
	sealAfter = 5 * time.Minute
	// maxPending bounds the entries that wait while a commit takes long or cannot be
	// made.
	maxPending = 4 * batch
	// heartbeat is the time after which a commit is made without an entry, so a gap
	// after a kill begins at most so much before it.
	heartbeat = 10 * time.Second
	// retry is the time between two attempts to write after a failed one.
	retry = 5 * time.Second
	// jump bounds the difference between the wall clock and the boot clock.
	jump = time.Second
	// fileShare is the share of the bytes allowed after which a file is left.
	fileShare = 8
	// diskShare is the greatest share of the file system for the history.
	diskShare = 20
	// calm is the time after a start or a jump of the clock before age removes files:
	// a clock that is wrong for a while removes nothing.
	calm = time.Hour
)

// Options say how history is written. The zero value, but for Dir, is right.
type Options struct {
	// Dir is the directory, an absolute path. It is made where it is missing, with
	// mode 0750, but not the one above it.
	Dir string
	// GID is the group that may read, 0 for root's. -1: the directory's own stays.
	GID int
	// Days is the number of days after which files are removed. Zero: [DefaultDays].
	Days int
	// Bytes bounds the files together. Zero: [DefaultBytes]. A twentieth of the file
	// system bounds them too.
	Bytes int64
	// NoCmdline keeps no command lines, since these may hold secrets.
	NoCmdline bool
	// Keep selects the sessions that are kept: by their facts at the end, or while
	// they stand. Nil: all.
	Keep *filter.Matcher
	// Host is the name of this host, and Boot an identity of its start: cookies are
	// unique between two starts. Empty Boot: unknown, nothing stands on over a
	// restart of the writer.
	Host, Boot string
	// Now is the wall clock. Nil: time.Now. Since is the time since the start of the
	// host, which does not jump. Nil: none; jumps are not noticed.
	Now   func() time.Time
	Since func() time.Duration
	// Report is called with errors that do not end the writer, when they begin, and
	// with nil when writing works again. It must not call the writer. Nil: nobody.
	Report func(error)
}

// A Writer writes the history of one host. It is safe for concurrent use. Whoever
// calls [Create] closes it.
//
// Add waits for no disk: a commit takes all that waits (load.go) and writes it
// while more comes.
type Writer struct {
	opts Options
	dir  dir
	lock *os.File
	due  chan struct{}

	// commits is held by a commit, and before mu. It guards the fields up to mu.
	commits sync.Mutex
	file    *file // nil after a failed attempt to open one
	// lastTry is the time of the last commit, or attempt.
	lastTry time.Time
	failing error
	// base is the wall clock less the boot clock.
	base   time.Time
	since  time.Time // of the last jump, or the start
	pruned time.Time
	limit  int64 // the bytes for all files
	spare  []entry
	// disk is called before each commit. Nil but in tests, for a slow one.
	disk func()

	mu    sync.Mutex
	live  table
	fresh []entry // since the last commit
	gaps  []gap   // since the last commit
	// dropped counts the entries without room in fresh.
	dropped uint64
	stats   Stats
}

// Stats are counts of a writer.
type Stats struct {
	// Entries counts the written entries, Dropped the lost ones.
	Entries, Dropped uint64
	// Live counts the sessions that stand, Bytes the files' bytes, Errors the failed
	// commits.
	Live   int
	Bytes  int64
	Errors uint64
}

// A gap is a span of time of which something is missing.
type gap struct {
	first, last int64
	n           uint64
	cause       whose.Cause
	why         string
}

// Reasons for gaps.
const (
	whyDown  = "the agent was down"
	whyClock = "the clock was set"
	whyFull  = "history could not be written in time"
)

// Create opens a directory for writing. It goes on with the last file if that is of
// this day, and notes the time since its last commit as a gap. Where another writer
// has the directory, the error is [ErrLocked].
func Create(ctx context.Context, opts Options) (*Writer, error) {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Days <= 0 {
		opts.Days = DefaultDays
	}
	if opts.Bytes <= 0 {
		opts.Bytes = DefaultBytes
	}
	d, lock, err := createDir(opts.Dir, opts.GID)
	if err != nil {
		return nil, openError(opts.Dir, err)
	}
	w := &Writer{opts: opts, dir: d, lock: lock, due: make(chan struct{}, 1), live: newTable()}
	w.setLimit()
	w.since = opts.Now()
	w.noteClock()
	if err := w.resume(ctx); err != nil {
		return nil, errors.Join(openError(opts.Dir, err), w.lock.Close())
	}
	return w, nil
}

// noteClock relates the two clocks.
func (w *Writer) noteClock() {
	if w.opts.Since != nil {
		w.base = w.opts.Now().Add(-w.opts.Since()).Round(0)
	}
}

// report passes on the beginning and the end of a failure.
func (w *Writer) report(err error) {
	if (err == nil) == (w.failing == nil) {
		w.failing = err
		return
	}
	w.failing = err
	if w.opts.Report != nil {
		w.opts.Report(err)
	}
}

// Add takes one event. It keeps the lists of owners, not e itself. It waits for no
// commit. Where too many events wait for one the event is dropped, and counted.
func (w *Writer) Add(e *whose.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e.Kind == whose.EventLost {
		at := micros(e.Time)
		w.gaps = append(w.gaps, gap{at, at, e.Lost, e.Cause, e.Why})
		return
	}
	w.follow(e)
}

// Due receives a value when enough entries wait for a commit. Call Flush then.
func (w *Writer) Due() <-chan struct{} { return w.due }

func (w *Writer) follow(e *whose.Event) {
	f := factsOf(&e.Session)
	l := w.live.find(&f)
	switch e.Kind {
	case whose.EventStanding, whose.EventOpen, whose.EventListen, whose.EventBind:
		w.begin(e, &f, l)
	case whose.EventOwned:
		w.own(e, &f, l)
	case whose.EventClose, whose.EventFail, whose.EventUnlisten:
		w.end(e, &f, l)
	}
}

// begin takes a session that stands.
func (w *Writer) begin(e *whose.Event, f *facts, l *live) {
	from := micros(e.Time)
	if !e.Opened.IsZero() {
		from, f.flags = micros(e.Opened), f.flags|knownOpen
	}
	if l != nil {
		l.missed, l.unsure = 0, false
		if e.Kind == whose.EventStanding || l.flags&knownOpen != 0 && f.flags&knownOpen != 0 && l.from == from {
			return // it is known already, and since when
		}
		w.live.drop(l)
	}
	if w.opts.Keep.MatchEvent(e) {
		w.live.put(&live{standing: &standing{*f, from}, pass: w.live.pass})
	}
}

// own takes new owners of a session. Its opening had others.
func (w *Writer) own(e *whose.Event, f *facts, l *live) {
	if !w.opts.Keep.MatchEvent(e) {
		return
	}
	if l == nil {
		w.begin(e, f, nil)
		l = w.live.find(f)
	} else {
		w.tellOpening(l)
		now := *l.standing
		now.owners, now.peer, now.reason, now.unknown, now.place = f.owners, f.peer, f.reason, f.unknown, f.place
		l.standing = &now
		w.live.touch(l)
	}
	now := entry{facts: *f, at: micros(e.Time), from: l.from}
	now.kind, now.flags = owned, f.flags|l.flags&(knownOpen|apart)
	w.keep(now)
}

// tellOpening keeps the opening of a session as an entry of its own.
func (w *Writer) tellOpening(l *live) {
	if l.flags&knownOpen == 0 || l.flags&apart != 0 {
		return
	}
	e := entry{facts: l.facts, at: l.from, from: l.from}
	e.kind = opened
	w.keep(e)
	now := *l.standing
	now.flags |= apart
	l.standing = &now
}

// end takes the end of a session, or of an attempt.
func (w *Writer) end(e *whose.Event, f *facts, l *live) {
	x := entry{facts: *f, at: micros(e.Time)}
	switch e.Kind {
	case whose.EventClose:
		x.kind = closed
	case whose.EventFail:
		x.kind = failed
	default:
		x.kind = unlistened
	}
	x.results = resultsOf(e)
	if e.Counted {
		x.flags |= counted
	}
	if t := e.Session.TCP; t != nil {
		x.flags |= hasTCP
	}
	x.from = x.at - x.duration
	if !e.Opened.IsZero() {
		x.from, x.flags = micros(e.Opened), x.flags|knownOpen
	}
	keep := w.opts.Keep.MatchEvent(e)
	if l != nil {
		w.inherit(&x, l, keep)
		w.live.drop(l)
	}
	if keep {
		w.keep(x)
	}
}

// inherit gives the end of a session the facts known while it stood.
func (w *Writer) inherit(x *entry, l *live, keep bool) {
	if x.flags&knownOpen == 0 {
		if x.from = min(x.from, l.from); l.flags&knownOpen != 0 {
			x.from, x.flags = l.from, x.flags|knownOpen
			x.duration = max(x.duration, x.at-x.from)
		}
	}
	if keep && l.flags&knownOpen != 0 && l.flags&apart == 0 && !l.sameStart(&x.facts) {
		w.tellOpening(l)
	}
	x.flags |= l.flags & apart
}

func resultsOf(e *whose.Event) results {
	r := results{
		duration: e.Duration.Microseconds(), sent: e.Sent, received: e.Received, errno: e.Errno, end: e.End, by: e.By,
	}
	if t := e.Session.TCP; t != nil {
		r.rtt, r.retrans = uint32(t.RTT.Microseconds()), t.Retrans
	}
	return r
}

// keep puts an entry beside those of the next commit.
func (w *Writer) keep(e entry) {
	if len(w.fresh) >= maxPending {
		w.dropped++
		w.stats.Dropped++
		return
	}
	w.fresh = append(w.fresh, e)
	if len(w.fresh)%batch == 0 {
		select {
		case w.due <- struct{}{}:
		default: // it says so already
		}
	}
}

// lookSize is the number of sessions that a look compares at once. Events wait for
// no more.
const lookSize = 256

// Reconcile compares the writer's table with all standing sessions. A
// session that two looks in a row do not find has ended without an event, and one
// that two find without one stood before. Call it every some seconds: no event
// reports the end of a UDP socket that is bound and not connected.
func (w *Writer) Reconcile(all iter.Seq[whose.Session]) {
	now := micros(w.opts.Now())
	w.mu.Lock()
	w.live.pass++
	w.mu.Unlock()
	some := make([]whose.Session, 0, lookSize)
	for s := range all {
		if some = append(some, s); len(some) == lookSize {
			w.look(some, now)
			some = some[:0]
		}
	}
	w.look(some, now)
	w.missing(now)
}

// look compares some standing sessions.
func (w *Writer) look(some []whose.Session, now int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := &w.live
	for i := range some {
		f := factsOf(&some[i])
		if l := t.find(&f); l != nil {
			l.pass, l.missed, l.unsure = t.pass, 0, false
			continue
		}
		k := keyOf(&f)
		if seen, ok := t.strangers[k]; !ok || seen != t.pass-1 {
			if len(t.strangers) < maxPending {
				t.strangers[k] = t.pass
			}
			continue
		}
		delete(t.strangers, k)
		if w.opts.Keep.Match(&some[i]) {
			t.put(&live{standing: &standing{f, now}, pass: t.pass})
		}
	}
}

// missing notes which sessions the look did not find.
func (w *Writer) missing(now int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := &w.live
	for k, pass := range t.strangers {
		if pass != t.pass {
			delete(t.strangers, k)
		}
	}
	for _, l := range t.all {
		if l.pass != t.pass {
			w.miss(l, now)
		}
	}
}

// miss notes that a look did not find a session.
func (w *Writer) miss(l *live, now int64) {
	if l.missed++; l.missed == 1 && !l.unsure {
		l.missedAt = now
	}
	if l.missed >= 2 {
		w.vanish(l, l.missedAt)
	}
}

// vanish ends a session whose end nobody saw, seen last at a time.
func (w *Writer) vanish(l *live, at int64) {
	e := entry{facts: l.facts, from: l.from, at: max(at, l.from)}
	e.kind = gone
	w.live.drop(l)
	w.keep(e)
}

// Flush commits all since the last commit. Call it each second.
func (w *Writer) Flush(ctx context.Context) error {
	w.commits.Lock()
	defer w.commits.Unlock()
	w.commit(ctx)
	return w.failing
}

// Stats returns the counts until now.
func (w *Writer) Stats() Stats {
	bytes := w.dir.bytes()
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.stats
	s.Live, s.Bytes = len(w.live.all), bytes
	return s
}

// Close commits, leaves the file so that it can be read without the writer, and
// gives the directory back.
func (w *Writer) Close(ctx context.Context) error {
	w.commits.Lock()
	defer w.commits.Unlock()
	w.lastTry = time.Time{}
	w.commit(ctx)
	err := w.failing
	if w.file != nil {
		err = errors.Join(err, w.file.leave(ctx, false, w.opts.Now()))
		w.file = nil
	}
	return errors.Join(err, w.lock.Close())
}

// commit writes all that waits. Failures are reported, and tried again later.
func (w *Writer) commit(ctx context.Context) {
	now := w.opts.Now()
	if w.failing != nil && now.Sub(w.lastTry).Abs() < retry {
		return
	}
	w.noticeJump(now)
	if w.failing == nil && w.file != nil && now.Sub(w.lastTry).Abs() < heartbeat && !w.leaves(now) && w.idle() {
		return
	}
	w.lastTry = now
	err := w.write(ctx, now)
	if err != nil {
		w.mu.Lock()
		w.stats.Errors++
		w.mu.Unlock()
		if broken(err) && w.file != nil {
			err = errors.Join(err, w.replace(ctx, now, err))
		}
	}
	w.report(err)
	w.prune(now)
}

// write makes one commit, in the file of this day.
func (w *Writer) write(ctx context.Context, now time.Time) error {
	if w.file == nil || w.leaves(now) {
		if err := w.rotate(ctx, now); err != nil {
			return err
		}
	}
	l := w.take(now)
	if w.disk != nil {
		w.disk()
	}
	if err := w.file.commit(ctx, l); err != nil {
		w.putBack(l)
		return err
	}
	w.settle(l)
	return nil
}

// note keeps a gap for the next commit.
func (w *Writer) note(g gap) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gaps = append(w.gaps, g)
}

// leaves reports whether another file is to be begun.
func (w *Writer) leaves(now time.Time) bool {
	return w.file != nil && (!w.file.name.day.Equal(dayOf(now)) || w.file.bytes > w.limit/fileShare)
}

func dayOf(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }

// setLimit sets the bytes for all files.
func (w *Writer) setLimit() {
	w.limit = w.opts.Bytes
	if space := w.dir.space(); space > 0 {
		w.limit = min(w.limit, space/diskShare)
	}
}

// noticeJump notes a gap where the wall clock was set.
func (w *Writer) noticeJump(now time.Time) {
	if w.opts.Since == nil {
		return
	}
	by := now.Round(0).Sub(w.base.Add(w.opts.Since()))
	if by.Abs() < jump {
		return
	}
	w.noteClock()
	w.since = now
	before, after := now.Add(-by), now
	if by < 0 {
		before, after = after, before
	}
	w.note(gap{micros(before), micros(after), 0, whose.CauseChanged, fmt.Sprintf("%s by %v", whyClock, by.Round(time.Millisecond))})
}

// rotate leaves the file and begins another. Standing sessions go with it.
func (w *Writer) rotate(ctx context.Context, now time.Time) error {
	if w.file != nil {
		if err := w.file.leave(ctx, true, now); err != nil && !broken(err) {
			return err
		}
		w.file = nil
	}
	names, err := w.dir.list()
	if err != nil {
		return err
	}
	name := fileName{day: dayOf(now), number: 1}
	if len(names) > 0 {
		name.number = names[len(names)-1].number + 1
	}
	f, err := w.beginFile(ctx, name, now)
	if err != nil {
		return err
	}
	w.file = f
	w.mu.Lock()
	defer w.mu.Unlock()
	w.live.anew()
	return nil
}

// replace sets a broken file aside and begins another.
func (w *Writer) replace(ctx context.Context, now time.Time, cause error) error {
	name, begin := w.file.name, w.file.begin
	_ = w.file.close() // it is broken
	w.file = nil
	if err := w.dir.setAside(name); err != nil {
		return err
	}
	w.note(gap{begin, micros(now), 0, whose.CauseFailed, name.String() + " was broken and set aside"})
	if err := w.rotate(ctx, now); err != nil {
		return err
	}
	return w.write(ctx, now)
}

// prune removes files that are too old or too many.
func (w *Writer) prune(now time.Time) {
	const every = time.Minute
	if now.Sub(w.pruned).Abs() < every {
		return
	}
	w.pruned = now
	w.setLimit()
	days := w.opts.Days
	if now.Sub(w.since).Abs() < calm {
		days = 0
	}
	if _, err := w.dir.prune(now, days, w.limit); err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.report(fmt.Errorf("remove old history: %w", err))
	}
}

// prune removes the files that are older than some days, 0 for no
// bound, and the oldest ones until the rest has at most so many bytes, 0 for no
// bound. The last file stays. It returns the removed files.
func (d dir) prune(now time.Time, days int, bytes int64) ([]string, error) {
	names, err := d.list()
	if err != nil {
		return nil, err
	}
	var removed []string
	sum := d.bytes()
	for len(names) > 1 {
		ended := names[1].day.Add(24 * time.Hour) // at the latest
		old := days > 0 && now.Sub(ended) > time.Duration(days)*24*time.Hour
		if !old && (bytes <= 0 || sum <= bytes) {
			break
		}
		sum -= d.size(names[0])
		if err := d.remove(names[0]); err != nil {
			return removed, err
		}
		removed = append(removed, names[0].String())
		names = slices.Delete(names, 0, 1)
	}
	return removed, nil
}
