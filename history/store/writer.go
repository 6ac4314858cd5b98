package store

import (
	"context"
	"errors"
	"os"
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
	DefaultLive  = 1_000_000
	// DefaultRollupDays is the number of days after which roll-ups are removed.
	DefaultRollupDays = 90
)

const (
	// batch is the number of entries after which a commit is due.
	batch = 5000
	// sealed is the number of entries of a block of the usual size.
	sealed = 4096
	// sealAfter is the longest time that small blocks wait for others.
	sealAfter = 5 * time.Minute
	// maxPending bounds the entries that wait while a commit takes long or cannot be
	// made: two seconds of a flood of 30,000 a second, some 20 MB.
	maxPending = 12 * batch
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
	// RollupDays is the number of days after which roll-ups are removed. Zero:
	// [DefaultRollupDays].
	RollupDays int
	// Bytes bounds the files together. Zero: [DefaultBytes]. A twentieth of the file
	// system bounds them too.
	Bytes int64
	// MaxLive bounds the sessions that stand, some 220 bytes each. Beyond it a session is
	// in the history with its end only, and a gap says so. Zero: [DefaultLive].
	MaxLive int
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
	roller roller
	// closing: the next commit is the last one.
	closing bool
	// disk is called before each commit. Nil but in tests, for a slow one.
	disk func()

	mu    sync.Mutex
	live  table
	fresh []entry // since the last commit
	gaps  []gap   // since the last commit
	// dropped counts the entries without room in fresh, beyond the sessions that stand
	// without room in live; since the last commit.
	dropped, beyond uint64
	stats           Stats
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
	whyRoom  = "more sessions stood than the history follows"
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
	if opts.RollupDays <= 0 {
		opts.RollupDays = DefaultRollupDays
	}
	if opts.Bytes <= 0 {
		opts.Bytes = DefaultBytes
	}
	if opts.MaxLive <= 0 {
		opts.MaxLive = DefaultLive
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
	if err := w.unrolled(ctx); err != nil {
		return nil, errors.Join(openError(opts.Dir, err), w.file.close(), w.lock.Close())
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
	if !w.opts.Keep.MatchEvent(e) {
		return
	}
	if w.live.all.Len() >= w.opts.MaxLive {
		w.beyond++ // its end is kept, if it comes
		return
	}
	w.live.put(w.live.newLive(f, from))
}

// own takes new owners of a session. Its opening had others.
func (w *Writer) own(e *whose.Event, f *facts, l *live) {
	if !w.opts.Keep.MatchEvent(e) {
		return
	}
	if l == nil {
		w.begin(e, f, nil)
		if l = w.live.find(f); l == nil {
			return // there was no room
		}
	} else {
		w.tellOpening(l)
		now := l.facts()
		now.owners, now.peer, now.reason, now.unknown, now.place = f.owners, f.peer, f.reason, f.unknown, f.place
		l.standing = w.live.standingOf(&now, l.from)
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
	e := entry{facts: l.facts(), at: l.from, from: l.from}
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

// Flush commits what came since the last commit, and some thousands of the sessions that
// stand. Call it every half second.
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
	s.Live, s.Bytes = w.live.all.Len(), bytes
	return s
}

// Close commits, leaves the file so that it can be read without the writer, and
// gives the directory back.
func (w *Writer) Close(ctx context.Context) error {
	w.commits.Lock()
	defer w.commits.Unlock()
	w.lastTry, w.closing = time.Time{}, true
	w.commit(ctx)
	err := w.failing
	if w.file != nil {
		err = errors.Join(err, w.file.leave(ctx, false, w.opts.Now()))
		w.file = nil
	}
	return errors.Join(err, w.lock.Close())
}
