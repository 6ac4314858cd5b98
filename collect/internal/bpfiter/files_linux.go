package bpfiter

import (
	"context"
	"errors"
	"slices"
)

// How the descriptors of all processes are read: by fd_walk, window by window,
// or by task_file, where there is no fd_walk or the tables that are left are few
// and long.

// needFiles has task_file loaded.
func (s *Source) needFiles() error {
	if s.files != nil {
		return nil
	}
	if err := s.loaded.loadFiles(); err != nil {
		return explain(err)
	}
	s.files = s.loaded.fileLink
	return nil
}

// readFiles reads the descriptors of all processes.
func (s *Source) readFiles(ctx context.Context, ask question, take func([]byte) error) error {
	again := ask.flags&askWanted != 0
	if again {
		s.wanted.setKeys(s.pass.keys)
	}
	start, all, err := s.readWindows(ctx, ask, take)
	if err != nil || all {
		return err
	}
	if again {
		s.wanted.set(s.pass.unmet)
	}
	s.pass.more = s.pass.more[:0]
	s.pass.from = int32(start)
	err = s.readEvery(ctx, ask, take)
	s.pass.from = 0
	return err
}

// readWindows reads the descriptors of all processes by fd_walk: all of them,
// or those before start.
func (s *Source) readWindows(ctx context.Context, ask question, take func([]byte) error) (start uint32, all bool, err error) {
	byPID := ask.number != 0 && ask.flags&askWanted == 0
	if s.fds == nil || byPID {
		return 0, false, nil
	}
	// A window of sockets is 23 KiB, the kernel's buffer 32.
	const enough = 8 << 10
	for {
		s.pass.more = s.pass.more[:0]
		r := run{it: s.fds, ask: ask.from(start), take: take, enough: enough}
		if err := s.readRuns(ctx, s.parts(r)); err != nil {
			return start, false, err
		}
		if len(s.pass.more) == 0 {
			return start, true, nil
		}
		if slices.ContainsFunc(s.pass.more, func(r resumption) bool { return r.done == tooMany }) {
			return start, false, nil
		}
		start += ask.window()
		if start > maxStart-ask.window() || s.pass.isFar(start, ask.window()) {
			return start, false, nil
		}
	}
}

// readEvery reads the descriptors of all processes by task_file.
func (s *Source) readEvery(ctx context.Context, ask question, take func([]byte) error) error {
	if err := s.needFiles(); err != nil {
		return err
	}
	return s.readRuns(ctx, s.parts(run{it: s.files, ask: ask, take: take}))
}

// readCookies completes the sockets that have no cookie yet.
func (s *Source) readCookies(ctx context.Context, ask question) error {
	if len(s.pass.bare) == 0 || s.fds == nil {
		return nil
	}
	if err := s.wanted.open(); err != nil {
		return err
	}
	pids := s.pass.prepareBare()
	sockets := make([]place, len(s.pass.bare))
	for i, b := range s.pass.bare {
		sockets[i].inode = uint32(b.inode)
	}
	s.wanted.set(sockets)
	ask.flags &^= askTCPInfo
	ask = s.wanted.ask(ask)
	if s.loaded != nil && len(pids) <= maxBareProcesses {
		err := s.readEach(ctx, pids, ask, s.pass.takeCookies)
		if !errors.Is(err, errNoProcessLink) {
			return err
		}
	}
	return s.readEvery(ctx, ask, s.pass.takeCookies)
}
