package bpfiter

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// usualThreads bounds the threads that nobody asked for. Each visits all tasks, and
// passes over foreign ones.
const usualThreads = 8

func (o Options) threads() int {
	if o.Threads <= 0 {
		return min(runtime.GOMAXPROCS(0), usualThreads)
	}
	return min(o.Threads, maxParts)
}

// A Source reads sockets and owners with BPF iterators. It keeps programs,
// links and buffers between reads, so a read allocates nothing for a session.
// It is not safe for concurrent use; whoever opened it closes it.
type Source struct {
	fdWalk   opener    // nil where the kernel cannot do it; taskFile can then
	taskFile opener    // nil until it is needed; see needTaskFile
	hashWalk opener    // nil where the kernel cannot do it
	loaded   *programs // nil where the iterators are pinned
	threads  int
	inner    bool    // the caller is in a pid namespace of its own
	pins     *pinDir // where they are pinned, nil where they are loaded
	set      setNumber
	hands    hands
	runs     []run // of the parts made last
	wanted   wantedPlace
	unheld   unheldSet
	reading  reading
}

var _ source.Source = (*Source)(nil)

// Open returns a source that reads through the iterators pinned in o.PinDir. If
// the caller may read none there, it loads programs of its own. The error
// reports both.
func Open(o Options) (*Source, error) {
	var pinned error
	if o.PinDir != "" {
		s, err := OpenPinned(o.PinDir, o)
		if err == nil {
			return s, nil
		}
		pinned = err
	}
	s, err := Load(o)
	if err == nil {
		return s, nil
	}
	if pinned != nil && !errors.Is(pinned, fs.ErrNotExist) {
		err = fmt.Errorf("%w; %w", err, pinned)
	}
	return nil, err
}

// Load loads the programs and returns a source that reads by them. It takes
// CAP_BPF and CAP_PERFMON; without them the error is a permission error with a
// hint. If the kernel cannot do it, the error is a [whose.UnsupportedError].
func Load(o Options) (*Source, error) {
	p, err := load(loading{taskFileOnly: o.TaskFileOnly, ways: true})
	if err != nil {
		return nil, err
	}
	s := newSource(o)
	s.loaded = p
	if p.fdWalkLink >= 0 {
		s.fdWalk = p.fdWalkLink
	}
	if p.taskFileLink >= 0 {
		s.taskFile = p.taskFileLink
	}
	if p.hashWalkLink >= 0 {
		s.hashWalk = p.hashWalkLink
	}
	return s, nil
}

func newSource(o Options) *Source {
	return &Source{threads: o.threads(), inner: inInnerPIDNamespace()}
}

// inInnerPIDNamespace reports whether the iterators hide processes from this
// one. The host's namespace has the same number in every kernel
// (PROC_PID_INIT_INO of include/linux/proc_ns.h).
func inInnerPIDNamespace() bool {
	const host = 0xEFFFFFFC
	var st unix.Stat_t
	err := unix.Stat("/proc/self/ns/pid", &st)
	return err == nil && st.Ino != host
}

// Name returns "bpf".
func (s *Source) Name() string { return "bpf" }

// Capabilities: the source finds holders in all namespaces and, if it can walk
// the kernel's tables, every socket. It enters no namespace.
func (s *Source) Capabilities() source.Capabilities {
	return source.Capabilities{FindsHolders: true, FindsSockets: s.hashWalk != nil}
}

// Read appends to snap the sockets for q and their owners. While somebody pins
// anew, the files may be of the old set or of the new one; it then begins again.
func (s *Source) Read(ctx context.Context, q *source.Query, snap *source.Snapshot) error {
	before := *snap
	for try := 0; ; try++ {
		err := s.readOnce(ctx, q, snap)
		if !errors.Is(err, errMixedSet) || try == mixedTries {
			return err
		}
		devices := snap.Devices
		*snap = before
		snap.Devices = devices
		time.Sleep(mixedPause)
	}
}

// mixedTries and mixedPause allow for the renaming of a few files.
const (
	mixedTries = 5
	mixedPause = 5 * time.Millisecond
)

func (s *Source) readOnce(ctx context.Context, q *source.Query, snap *source.Snapshot) error {
	if err := s.pins.open(); err != nil {
		return explainPinned(s.pins.path, err)
	}
	err := s.readOpen(ctx, q, snap)
	return errors.Join(err, s.pins.close())
}

func (s *Source) readOpen(ctx context.Context, q *source.Query, snap *source.Snapshot) error {
	s.set.forget()
	s.reading.reset(q, snap)
	snap.Pinned = s.loaded == nil
	if s.hashWalk == nil {
		s.reading.ways = make(map[uint32]bool)
	}
	read := s.readAll
	switch {
	case q.PIDs != nil:
		read = s.readProcesses
	case q.Process != nil && s.fdWalk != nil:
		read = s.readNamed
	}
	if err := read(ctx, q); err != nil {
		return err
	}
	s.reading.settleDoubtful()
	s.reading.settleLoose()
	s.reading.settleNetNS()
	s.reading.settleInsiders()
	snap.Processes = s.reading.processes
	s.noteGaps(snap)
	return nil
}

// Close unloads the source's own programs. Pinned ones stay.
func (s *Source) Close() error {
	err := s.wanted.close()
	if s.loaded != nil {
		err = errors.Join(err, s.loaded.close())
	}
	return err
}

// question returns the question for q, with all of it that a program can apply.
func (s *Source) question(q *source.Query) (question, error) {
	ask := newQuestion(q)
	err := s.wanted.begin(q, ask)
	return s.wanted.ask(ask), err
}

// readAll reads the sockets of every process, and those of none.
func (s *Source) readAll(ctx context.Context, q *source.Query) error {
	ask, err := s.question(q)
	if err != nil {
		return err
	}
	if err := s.readTables(ctx, ask); err != nil {
		return err
	}
	s.reading.makeRoom()
	if err := s.readDescriptors(ctx, ask); err != nil {
		return err
	}
	s.reading.allInside = s.fdWalk != nil
	if err := s.readUnmet(ctx, ask); err != nil {
		return err
	}
	if !q.Needs.Has(whose.NeedCookie) {
		return nil
	}
	return s.readCookies(ctx, ask)
}

// noteGaps reports the things hidden from this source here.
func (s *Source) noteGaps(snap *source.Snapshot) {
	if s.inner {
		snap.Gaps.Add(source.OutsidePIDNS)
	}
}

// A run is an iterator to be read to its end by one thread.
type run struct {
	it    opener
	ask   question
	apply func([]byte) error
	// enough is as in readPiece.
	enough int
	// of is the program that it has to be of, and set has its set. Zero: it has
	// no header.
	of  programKind
	set *setNumber
}

// run returns a run of an iterator that has to be of the program.
func (s *Source) run(of programKind, it opener, ask question, apply func([]byte) error) run {
	return run{it: it, ask: ask, apply: apply, of: of, set: &s.set}
}

// readTables walks the socket tables, if the kernel can do it. It comes before
// the descriptors. A socket with a file and without a descriptor was then
// closed or passed on in between, or nobody holds it. Newer sockets do not
// matter.
func (s *Source) readTables(ctx context.Context, ask question) error {
	if s.hashWalk == nil {
		return nil
	}
	if err := s.walkTables(ctx, ask, s.reading.applyTables); err != nil {
		return err
	}
	return s.resume(ctx, ask, s.reading.applyTables)
}

// walkTables walks all elements of the socket tables.
func (s *Source) walkTables(ctx context.Context, ask question, apply func([]byte) error) error {
	// The kernel's buffer is 32 KiB; a million sockets are 8 KiB an element.
	const enough = 16 << 10
	r := s.run(hashWalk, s.hashWalk, ask, apply)
	r.enough = enough
	return s.readRuns(ctx, s.parts(r))
}

// readUnmet looks once more for the sockets with a file and without a
// descriptor. Those still there are in flight or held by io_uring, unless a
// second look at the descriptors finds their new holders. It looks for those alone
// that the last Read did not look for in vain.
func (s *Source) readUnmet(ctx context.Context, ask question) error {
	s.reading.settleUnmet()
	if len(s.reading.unmet) == 0 {
		s.unheld.forget()
		return nil
	}
	if err := s.wanted.open(); err != nil {
		return err
	}
	s.wanted.setInodes(s.reading.unmet)
	full := ask
	full.flags |= askFull
	if err := s.walkAgain(ctx, full); err != nil {
		return err
	}
	s.reading.keys = s.unheld.others(s.reading.standing, s.reading.keys)
	if len(s.reading.keys) > 0 {
		if err := s.readDescriptorsAgain(ctx, ask); err != nil {
			return err
		}
	}
	s.unheld.note(s.reading.standing, s.reading.doubtful)
	return nil
}

// maxElements bounds how many elements are walked again one by one. Each takes a
// run of its own; of more the whole is walked.
const maxElements = 32

// walkAgain visits the places of the unmet sockets again.
func (s *Source) walkAgain(ctx context.Context, full question) error {
	elements, few := s.reading.elementsOfUnmet(maxElements)
	if few {
		s.reading.more = append(s.reading.more[:0], elements...)
	} else if err := s.walkTables(ctx, s.wanted.ask(full), s.reading.applyWanted); err != nil {
		return err
	}
	return s.resume(ctx, full, s.reading.applyWanted)
}

// maxResumptions bounds how often the walk goes on: a table of a million
// sockets in one bucket takes some thousands.
const maxResumptions = 1 << 16

// resume goes on with the elements of the walk too long for one read.
func (s *Source) resume(ctx context.Context, ask question, apply func([]byte) error) error {
	for n := 0; len(s.reading.more) > 0; n++ {
		if n == maxResumptions {
			s.reading.snap.Gaps.Add(whose.Gap{Kind: whose.GapTables, Cause: whose.CauseLimit,
				Count: len(s.reading.more), Detail: "socket table does not end"})
			s.reading.more = s.reading.more[:0]
			return nil
		}
		if err := s.readRuns(ctx, s.takeMore(ask, apply)); err != nil {
			return err
		}
	}
	return nil
}

// takeMore returns runs that go on with the last elements, one for each thread. They
// are valid until the next ones.
func (s *Source) takeMore(ask question, apply func([]byte) error) []run {
	s.runs = s.runs[:0]
	for n := len(s.reading.more); n > 0 && len(s.runs) < s.threads; n-- {
		s.runs = append(s.runs, s.run(hashWalk, s.hashWalk, ask.resumed(s.reading.more[n-1]), apply))
		s.reading.more = s.reading.more[:n-1]
	}
	return s.runs
}

// parts divides a run among the threads. They are valid until the next ones.
func (s *Source) parts(r run) []run {
	s.runs = s.runs[:0]
	for i := range s.threads {
		r.ask.part, r.ask.parts = uint8(i), uint8(s.threads)
		s.runs = append(s.runs, r)
	}
	return s.runs
}

// readRuns makes all runs at once, each on a thread of its own.
func (s *Source) readRuns(ctx context.Context, runs []run) error {
	return s.hands.do(ctx, runs)
}

// bufferSize is the size of the buffer for a read. With as much room the kernel
// gives at most eight pages at once and never part of a record.
func bufferSize() int { return max(64<<10, 8*os.Getpagesize()) }
