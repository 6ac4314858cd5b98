package bpfiter

import (
	"context"
	"errors"
)

// fd_walk reads the descriptors of all processes, in runs that begin further on
// each. task_file reads them if there is no fd_walk, or if the remaining tables
// are few and long.

// needTaskFile has task_file loaded.
func (s *Source) needTaskFile() error {
	if s.taskFile != nil {
		return nil
	}
	if err := s.loaded.addTaskFile(); err != nil {
		return explain(err)
	}
	s.taskFile = s.loaded.taskFileLink
	return nil
}

// readDescriptors reads the descriptors of all processes.
func (s *Source) readDescriptors(ctx context.Context, ask question) error {
	all, err := s.readTogether(ctx, ask, s.reading.applyDescriptors)
	if err != nil || all {
		return err
	}
	return s.readEvery(ctx, ask, s.reading.applyDescriptors)
}

// readDescriptorsAgain looks among the descriptors of all processes for the sockets
// that were confirmed. fd_walk knows them by their files.
func (s *Source) readDescriptorsAgain(ctx context.Context, ask question) error {
	s.wanted.setKeys(s.reading.keys)
	all, err := s.readTogether(ctx, s.wanted.ask(ask), s.reading.applyDescriptorsAgain)
	if err != nil || all {
		return err
	}
	s.wanted.setInodes(s.reading.unmet)
	return s.readEvery(ctx, s.wanted.ask(ask), s.reading.applyDescriptorsAgain)
}

// enoughDescriptors ends a read of fd_walk: the sockets of a process are 23 KiB, the
// kernel's buffer is 32.
const enoughDescriptors = 8 << 10

// readTogether reads the descriptors of all processes by fd_walk: all of them, or
// those before the places in reading.later.
func (s *Source) readTogether(ctx context.Context, ask question, apply func([]byte) error) (all bool, err error) {
	byPID := ask.number != 0 && ask.flags&askWanted == 0
	if s.fdWalk == nil || byPID {
		return false, nil
	}
	s.reading.shown = false
	ask = s.reading.askingMarks(ask)
	for start := uint32(0); ; {
		s.reading.more = s.reading.more[:0]
		r := s.run(fdWalk, s.fdWalk, ask.startingAt(start), apply)
		r.enough = enoughDescriptors
		if err := s.readRuns(ctx, s.parts(r)); err != nil {
			return false, err
		}
		if len(s.reading.more) == 0 {
			return true, nil
		}
		next := s.reading.settlePlaces()
		if next <= start || next > maxStart-fdRange || s.reading.isFar(next, next-start) {
			return false, nil
		}
		start = next
	}
}

// readEvery reads the descriptors of all processes by task_file.
func (s *Source) readEvery(ctx context.Context, ask question, apply func([]byte) error) error {
	s.reading.more = s.reading.more[:0]
	if err := s.needTaskFile(); err != nil {
		return err
	}
	return s.readRuns(ctx, s.parts(s.run(taskFile, s.taskFile, ask, apply)))
}

// readCookies completes the sockets without a cookie.
func (s *Source) readCookies(ctx context.Context, ask question) error {
	if len(s.reading.bare) == 0 || s.fdWalk == nil {
		return nil
	}
	if err := s.wanted.open(); err != nil {
		return err
	}
	pids := s.reading.prepareBare()
	sockets := make([]sighting, len(s.reading.bare))
	for i, b := range s.reading.bare {
		sockets[i].inode = uint32(b.inode)
	}
	s.wanted.setInodes(sockets)
	ask.flags &^= askTCPInfo
	ask = s.wanted.ask(ask)
	if s.loaded != nil && len(pids) <= maxBareProcesses {
		err := s.readEach(ctx, pids, ask, s.reading.applyCookies)
		if !errors.Is(err, errNoProcessLink) {
			return err
		}
	}
	return s.readEvery(ctx, ask, s.reading.applyCookies)
}
