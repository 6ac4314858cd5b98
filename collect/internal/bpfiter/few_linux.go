package bpfiter

import (
	"context"
	"os"
	"strconv"
	"strings"

	"github.com/seed-44df2ae6/whose"
)

// crowd is the number of open files of a host from which on a scan of the
// descriptor tables saves more than loading its program costs.
const crowd = 20_000

// isCrowded reports whether the host has many open files. Where that cannot be
// read it has not.
func isCrowded() bool {
	b, err := os.ReadFile("/proc/sys/fs/file-nr")
	if err != nil {
		return false
	}
	first, _, _ := strings.Cut(string(b), "\t")
	n, err := strconv.Atoi(strings.TrimSpace(first))
	return err == nil && n > crowd
}

// scanner returns fd_scan, nil where it would not pay or cannot be had.
func (s *Source) scanner() opener {
	if s.walk == nil || !s.crowded() {
		return nil
	}
	if s.scan == nil && s.loaded != nil && !s.scanTried {
		s.scanTried = true
		if link, err := s.loaded.loadScan(); err == nil { // without it, it takes longer
			s.scan = link
		}
	}
	return s.scan
}

// asksFew reports whether q can only be for sockets that are few on most
// hosts, and that the tables have all of.
func (s *Source) asksFew(q *whose.Query) bool {
	const waiting = 1<<whose.Listen | 1<<whose.Unconn
	return q.States != 0 && q.States&^waiting == 0 && s.walk != nil && s.scanner() != nil
}

// readFew reads sockets that are few. It reports false where they are not,
// which then are the unmet.
func (s *Source) readFew(ctx context.Context, ask question) (bool, error) {
	full := ask
	full.flags |= askFull
	if err := s.walkParts(ctx, full, s.pass.takeFew); err != nil {
		return false, err
	}
	f := &s.pass.few
	if len(f.sockets) > maxFew {
		for i := range f.sockets {
			s.pass.unmet = append(s.pass.unmet, f.sockets[i].Inode)
		}
		s.pass.wanted.reset()
		f.reset()
		return false, nil
	}
	if err := s.scanTables(ctx); err != nil {
		return false, err
	}
	s.pass.unmet = s.pass.unmet[:0]
	for i := range f.sockets {
		s.pass.unmet = append(s.pass.unmet, f.sockets[i].Inode)
	}
	if err := s.walkAlive(ctx, full); err != nil {
		return false, err
	}
	s.pass.settleFew()
	return true, nil
}

// scanTables looks for the files of the few, and a second time where it finds
// nobody who holds one: it may have been on its way from one to another.
func (s *Source) scanTables(ctx context.Context) error {
	f := &s.pass.few
	if err := s.wanted.open(); err != nil {
		return err
	}
	for range 2 {
		s.wanted.setKeys(f.keys)
		if err := s.scanOnce(ctx); err != nil {
			return err
		}
		f.again = true
		left := f.keys[:0]
		for _, key := range f.keys {
			if !f.held.has(f.inodes[key]) {
				left = append(left, key)
			}
		}
		if f.keys = left; len(left) == 0 {
			break
		}
	}
	return nil
}

func (s *Source) scanOnce(ctx context.Context) error {
	ask := s.wanted.ask(question{})
	if err := s.readRuns(ctx, s.parts(run{s.scan, ask, s.pass.takeHolds})); err != nil {
		return err
	}
	f := &s.pass.few
	for n := 0; len(f.more) > 0 && n < maxResumptions; n++ {
		last := len(f.more) - 1
		m := f.more[last]
		f.more = f.more[:last]
		s.wanted.goOn(m)
		rest := ask
		rest.flags |= askResume
		if err := s.readRuns(ctx, []run{{s.scan, rest, s.pass.takeHolds}}); err != nil {
			return err
		}
	}
	return nil
}

// walkAlive walks for those of the unmet that are still there.
func (s *Source) walkAlive(ctx context.Context, full question) error {
	s.wanted.set(s.pass.unmet)
	return s.walkParts(ctx, s.wanted.ask(full), s.pass.takeAlive)
}
