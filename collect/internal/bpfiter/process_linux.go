package bpfiter

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/bpf"
	"github.com/seed-44df2ae6/whose/internal/netns"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// The reading for a question about the sockets of a few processes.

// maxProcessLinks bounds how many processes are read one by one; of more the whole
// is read.
const maxProcessLinks = 64

// readProcesses reads the descriptors of the processes in q and, if connections
// wait for one of them to accept them, the socket tables too.
func (s *Source) readProcesses(ctx context.Context, q *source.Query) error {
	ask := newQuestion(q)
	ask.states |= 1 << whose.Listen // to see the pending accepts; the reading drops it again
	if err := s.readPIDs(ctx, q.PIDs, ask); err != nil {
		return err
	}
	ask, err := s.question(q)
	if err != nil {
		return err
	}
	if q.Needs.Has(whose.NeedCookie) {
		if err := s.readCookies(ctx, ask); err != nil {
			return err
		}
	}
	read := s.readTables
	if !s.reading.beyond {
		read = s.readNamespaces
	}
	if err := read(ctx, ask); err != nil {
		return err
	}
	s.reading.unmet = s.reading.unmet[:0] // others' sockets
	return s.readInsiders(ctx, q)
}

// readNamespaces reads which network namespaces there are, by the elements of the walk
// that name them: each of the others is a visit too. If nothing comes the elements are
// elsewhere in the programs of another version, and all are walked.
func (s *Source) readNamespaces(ctx context.Context, ask question) error {
	if s.hashWalk == nil {
		return nil
	}
	ask.protos, ask.flow = 0, false
	for i := range uint32(netnsElements) {
		named := 0
		r := s.run(hashWalk, s.hashWalk, ask.resumed(resumption{element: netnsBase + i}), func(b []byte) error {
			for r := (records{rest: b}); r.next(); {
				if r.kind == recordNetNS {
					named++
				}
			}
			return s.reading.applyTables(b)
		})
		if err := s.readRuns(ctx, []run{r}); err != nil {
			return err
		}
		if i == 0 && named == 0 {
			return s.readTables(ctx, ask)
		}
		if named < netnsPerElement {
			break
		}
	}
	s.reading.more = s.reading.more[:0] // tables of their own, of which nothing is asked
	return nil
}

// readNamed reads the descriptors of the processes for which q.Process is true, and
// then looks who else has their sockets. If there are too many, it reads everything.
func (s *Source) readNamed(ctx context.Context, q *source.Query) error {
	pids, all, err := s.findNamed(ctx, q)
	if err != nil {
		return err
	}
	if !all || len(pids) > maxProcessLinks {
		s.reading.reset(q, s.reading.snap)
		s.reading.snap.Marks, s.reading.snap.Seen = s.reading.snap.Marks[:0], s.reading.snap.Seen[:0]
		return s.readAll(ctx, q)
	}
	alone := *q
	alone.PIDs = pids
	s.reading.noteKeys = true
	if err := s.readProcesses(ctx, &alone); err != nil {
		return err
	}
	if len(s.reading.keys) == 0 {
		return nil
	}
	return s.readAround(ctx, q)
}

// findNamed returns the processes for which q.Process is true, of those that have a
// socket: programs name no others. It has fd_walk give the first socket of each, and
// say who is in which namespace. all: none may be missing.
func (s *Source) findNamed(ctx context.Context, q *source.Query) (pids []uint32, all bool, err error) {
	if err := s.wanted.open(); err != nil {
		return nil, false, err
	}
	ask := newQuestion(q)
	ask.states |= 1 << whose.Listen // it has what waits to be accepted
	ask.flags &^= askTCPInfo
	s.wanted.setConditions(&source.Query{NetNS: q.NetNS}, ask)
	s.wanted.has |= hasFirst
	all, err = s.readTogether(ctx, s.wanted.ask(ask), func(b []byte) error {
		return s.reading.applyNames(b, func(pid uint32, comm string) {
			if q.Process(pid, comm) {
				pids = append(pids, pid)
			}
		})
	})
	slices.Sort(pids)
	s.reading.processes, s.reading.marks, s.reading.allInside = 0, false, true
	return slices.Compact(pids), all, err
}

// readAround reads the sockets that those read so far have to do with: listeners,
// which decide directions, and the other ends where these are wanted. Then it looks
// among all descriptors who has any of them.
func (s *Source) readAround(ctx context.Context, q *source.Query) error {
	if err := s.wanted.open(); err != nil {
		return err
	}
	full := newQuestion(q)
	full.flags |= askFull
	s.wanted.setConditions(&source.Query{NetNS: q.NetNS}, full)
	if q.Peers {
		s.reading.notePairs()
		s.wanted.setPairs(s.reading.pairs)
	} else {
		full.states &= 1<<whose.Listen | 1<<whose.Unconn
	}
	if s.hashWalk != nil && full.states != 0 {
		ask := s.wanted.ask(full)
		if err := s.walkTables(ctx, ask, s.reading.applyAround); err != nil {
			return err
		}
		if err := s.resume(ctx, ask, s.reading.applyAround); err != nil {
			return err
		}
	}
	s.reading.wantAll()
	return s.readDescriptorsAgain(ctx, newQuestion(q))
}

// readInsiders has fd_walk say who is in which namespace, and look at no descriptor,
// where a namespace has to be named. The caller's own is not.
func (s *Source) readInsiders(ctx context.Context, q *source.Query) error {
	if s.fdWalk == nil || s.reading.allInside || !q.Needs.Has(whose.NeedNetNSName) {
		return nil
	}
	own, err := netns.Self()
	if err == nil && !slices.ContainsFunc(s.reading.snap.Sockets, func(s source.Socket) bool { return s.NetNS != own }) {
		return nil
	}
	s.reading.shown, s.reading.allInside = true, true
	return s.readRuns(ctx, s.parts(s.run(fdWalk, s.fdWalk, question{}, s.reading.applyDescriptors)))
}

// readPIDs reads the descriptors of the processes, and of others only where it
// cannot be helped.
func (s *Source) readPIDs(ctx context.Context, pids []uint32, ask question) error {
	if s.fdWalk != nil && len(pids) <= maxProcessLinks {
		for _, pid := range pids {
			if err := s.readAlone(ctx, pid, ask); err != nil {
				return err
			}
		}
		return nil
	}
	err := s.readEach(ctx, pids, ask, s.reading.applyDescriptors)
	if !errors.Is(err, errNoProcessLink) {
		return err
	}
	if len(pids) == 1 && pids[0] <= maxPID {
		ask.number = pids[0]
	}
	return s.readDescriptors(ctx, ask)
}

// readAlone reads the descriptors of one process by fd_walk, which finds it by its
// number and visits no other.
func (s *Source) readAlone(ctx context.Context, pid uint32, ask question) error {
	if pid > maxPID {
		return nil // nobody has it
	}
	s.reading.shown = false
	byFDs := ask
	ask = s.reading.askingMarks(ask)
	for start := uint32(0); ; {
		r := s.run(fdWalk, s.fdWalk, ask.ofProcess(pid, start), s.reading.applyDescriptors)
		r.enough = enoughDescriptors
		s.reading.more = s.reading.more[:0]
		if err := s.readRuns(ctx, []run{r}); err != nil {
			return err
		}
		if len(s.reading.more) == 0 {
			return nil
		}
		next := s.reading.settlePlaces() / aloneUnit * aloneUnit
		if next <= start || next >= maxAloneStart {
			s.reading.more = s.reading.more[:0]
			byFDs.number = pid
			return s.readEvery(ctx, byFDs, s.reading.applyDescriptors)
		}
		start = next
	}
}

// errNoProcessLink: there can be no link to one process.
var errNoProcessLink = errors.New("no links to single processes")

// readEach reads each process by a link to it alone, which costs nothing for
// the descriptors of others. It takes programs of our own and Linux 6.1.
func (s *Source) readEach(ctx context.Context, pids []uint32, ask question, apply func([]byte) error) error {
	if s.loaded == nil || len(pids) > maxProcessLinks {
		return errNoProcessLink
	}
	if err := s.needTaskFile(); err != nil {
		return err
	}
	for _, pid := range pids {
		// union bpf_iter_link_info: task.tid, task.pid (a thread group), task.pid_fd.
		link, err := bpf.AttachIter(s.loaded.taskFile.Programs[taskFileProgTaskFile], []uint32{0, pid, 0})
		if errors.Is(err, unix.E2BIG) || errors.Is(err, unix.EINVAL) {
			return errNoProcessLink
		}
		if err != nil {
			return err
		}
		err = s.readRuns(ctx, []run{s.run(taskFile, link, ask, apply)})
		if err := errors.Join(err, link.Close()); err != nil {
			return fmt.Errorf("read process %d: %w", pid, err)
		}
	}
	return nil
}
