package bpfiter

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/source"
)

func (o Options) threads() int {
	if o.Threads <= 0 {
		return 2
	}
	return min(o.Threads, maxParts)
}

// A Source reads sockets and owners with BPF iterators. It keeps programs,
// links and buffers between reads, so that a read allocates nothing for a
// session. It is not safe for concurrent use; whoever opened it closes it.
type Source struct {
	fds     opener    // nil where the kernel cannot do it; files can then
	files   opener    // nil until it is needed; see needFiles
	walk    opener    // nil where the kernel cannot do it
	loaded  *programs // nil where the iterators are pinned
	threads int
	inner   bool // the caller is in a pid namespace of its own
	bufs    [][]uint64
	wanted  wantedSet
	pass    pass
}

var _ source.Source = (*Source)(nil)

// Open returns a source that reads through the iterators pinned in o.PinDir
// or, where there are none that the caller may read, by programs that it
// loads. The error tells of both.
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
// hint. Where the kernel cannot do it, the error is a whose.UnsupportedError.
func Load(o Options) (*Source, error) {
	p, err := load(loading{taskFileOnly: o.TaskFileOnly, ways: true})
	if err != nil {
		return nil, err
	}
	s := newSource(o)
	s.loaded = p
	if p.fdLink >= 0 {
		s.fds = p.fdLink
	}
	if p.fileLink >= 0 {
		s.files = p.fileLink
	}
	if p.walkLink >= 0 {
		s.walk = p.walkLink
	}
	return s, nil
}

func newSource(o Options) *Source {
	return &Source{threads: o.threads(), inner: inInnerPIDNamespace()}
}

// inInnerPIDNamespace reports whether there are processes that no iterator
// shows to this one. The host's namespace has the same number in every kernel
// (PROC_PID_INIT_INO of include/linux/proc_ns.h).
func inInnerPIDNamespace() bool {
	const host = 0xEFFFFFFC
	var st unix.Stat_t
	err := unix.Stat("/proc/self/ns/pid", &st)
	return err == nil && st.Ino != host
}

// Name returns "bpf".
func (s *Source) Name() string { return "bpf" }

// Capabilities: the source finds holders in all namespaces and, where it can walk
// the kernel's tables, every socket. It enters no namespace.
func (s *Source) Capabilities() source.Capabilities {
	return source.Capabilities{FindsHolders: true, FindsSockets: s.walk != nil}
}

// Read appends to snap the sockets that q asks for and their owners.
func (s *Source) Read(ctx context.Context, q *source.Query, snap *source.Snapshot) error {
	s.pass.reset(q, snap)
	snap.Pinned = s.loaded == nil
	if s.walk == nil {
		s.pass.ways = make(map[uint32]bool)
	}
	if err := s.loaded.setConditions(q); err != nil {
		return err
	}
	read := s.readAll
	if q.PIDs != nil {
		read = s.readProcesses
	}
	if err := read(ctx, q); err != nil {
		return err
	}
	s.pass.settleDoubtful()
	s.pass.settleLoose()
	s.pass.settleNetNS()
	snap.Processes = s.pass.processes
	s.noteGaps(snap)
	return nil
}

// Close unloads the programs that the source loaded. Pinned ones stay.
func (s *Source) Close() error {
	err := s.wanted.close()
	if s.loaded != nil {
		err = errors.Join(err, s.loaded.close())
	}
	return err
}

// readAll reads what every process holds, and what none does.
func (s *Source) readAll(ctx context.Context, q *source.Query) error {
	ask := newQuestion(q)
	if err := s.readTables(ctx, ask); err != nil {
		return err
	}
	s.pass.makeRoom()
	if err := s.readFiles(ctx, ask, s.pass.takeFiles); err != nil {
		return err
	}
	if err := s.readUnmet(ctx, ask); err != nil {
		return err
	}
	if !q.Needs.Has(whose.NeedCookie) {
		return nil
	}
	return s.readCookies(ctx, ask)
}

// noteGaps says what this source cannot see here.
func (s *Source) noteGaps(snap *source.Snapshot) {
	if s.inner {
		snap.Gaps.Add(source.OutsidePIDNS)
	}
}

// A run is an iterator to be read to its end by one thread.
type run struct {
	it   opener
	ask  question
	take func([]byte) error
	// enough is as in readPiece.
	enough int
}

// readTables walks the socket tables, where the kernel can do it. It comes before
// the descriptors: then what has a file and is not met with a descriptor was
// closed or passed on in between, or nobody holds it, while what is new since
// does not matter.
func (s *Source) readTables(ctx context.Context, ask question) error {
	if s.walk == nil {
		return nil
	}
	if err := s.readRuns(ctx, s.parts(run{it: s.walk, ask: ask, take: s.pass.takeWalk})); err != nil {
		return err
	}
	return s.resume(ctx, ask, s.pass.takeWalk)
}

// readUnmet looks once more for the sockets that have a file and that no
// descriptor was met for. Those that are still there are in flight or held by
// io_uring, unless a second look at the descriptors finds to whom they went.
func (s *Source) readUnmet(ctx context.Context, ask question) error {
	s.pass.settleUnmet()
	if len(s.pass.unmet) == 0 {
		return nil
	}
	if err := s.wanted.open(); err != nil {
		return err
	}
	s.wanted.set(s.pass.unmet)
	full := ask
	full.flags |= askFull
	if err := s.walkAgain(ctx, full); err != nil {
		return err
	}
	if !s.pass.confirmed {
		return nil
	}
	return s.readFiles(ctx, s.wanted.ask(ask), s.pass.takeFilesAgain)
}

// maxPlaces bounds how many elements are walked again one by one. Each takes a
// run of its own; of more the whole is walked.
const maxPlaces = 32

// walkAgain looks where the unmet sockets were met.
func (s *Source) walkAgain(ctx context.Context, full question) error {
	places, few := s.pass.placesOfUnmet(maxPlaces)
	if few {
		s.pass.more = append(s.pass.more[:0], places...)
	} else {
		r := run{it: s.walk, ask: s.wanted.ask(full), take: s.pass.takeWanted}
		if err := s.readRuns(ctx, s.parts(r)); err != nil {
			return err
		}
	}
	return s.resume(ctx, full, s.pass.takeWanted)
}

// maxResumptions bounds how often the walk goes on: a table of a million
// sockets in one bucket takes some thousands.
const maxResumptions = 1 << 16

// resume goes on with the elements of the walk that were too long for a read.
func (s *Source) resume(ctx context.Context, ask question, take func([]byte) error) error {
	for n := 0; len(s.pass.more) > 0; n++ {
		if n == maxResumptions {
			s.pass.snap.Gaps.Add(whose.Gap{Kind: whose.GapTables, Cause: whose.CauseLimit,
				Count: len(s.pass.more), Detail: "socket table does not end"})
			s.pass.more = s.pass.more[:0]
			return nil
		}
		last := len(s.pass.more) - 1
		m := s.pass.more[last]
		s.pass.more = s.pass.more[:last]
		if err := s.readRuns(ctx, []run{{it: s.walk, ask: ask.resumed(m), take: take}}); err != nil {
			return err
		}
	}
	return nil
}

// parts divides a run among the threads.
func (s *Source) parts(r run) []run {
	runs := make([]run, s.threads)
	for i := range runs {
		r.ask.part, r.ask.parts = uint8(i), uint8(s.threads)
		runs[i] = r
	}
	return runs
}

// readRuns reads all runs at once, each on a thread of its own.
func (s *Source) readRuns(ctx context.Context, runs []run) error {
	errs := make([]error, len(runs))
	var wg sync.WaitGroup
	for i, r := range runs {
		buf := s.buffer(i)
		wg.Go(func() { errs[i] = readAll(ctx, r, buf) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// buffer returns the buffer of the i-th thread.
func (s *Source) buffer(i int) []uint64 {
	for i >= len(s.bufs) {
		s.bufs = append(s.bufs, make([]uint64, bufferSize()/8))
	}
	return s.bufs[i]
}

// bufferSize is what a read may bring. The kernel gives at most eight pages at
// once and never part of a record, if there is room for as much.
func bufferSize() int { return max(64<<10, 8*os.Getpagesize()) }
