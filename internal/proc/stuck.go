package proc

import (
	"errors"
	"sync"
	"time"

	"github.com/seed-44df2ae6/whose"
)

// ErrStuck reports a read that does not return: the memory of the process, or
// the file system below, waits for something dead.
var ErrStuck = errors.New("no answer")

// StuckGap is the gap of n processes with facts that do not come.
func StuckGap(n int) whose.Gap {
	return whose.Gap{
		Kind: whose.GapFacts, Cause: whose.CauseStuck, Count: n,
		Hint: "look for a dead mount (NFS, FUSE) and for processes in state D",
	}
}

// A ProcessID identifies a process by its number and its start, in clock ticks
// as in [source.Task].
type ProcessID struct {
	PID   uint32
	Start uint64
}

// stuckProcesses are the processes that do not answer. None of them is asked
// again while it keeps a reader, nor for retryAfter after that. It is safe for
// concurrent use.
type stuckProcesses struct {
	mu    sync.Mutex
	until map[ProcessID]time.Time // zero: it keeps a reader
}

// retryAfter is the time after which a process is asked again that answered too
// late.
const retryAfter = time.Minute

// maxStuck bounds the processes kept that have answered too late. Those that
// keep a reader are at most maxLost.
const maxStuck = 1024

// add notes a process that does not answer.
func (s *stuckProcesses) add(id ProcessID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.until == nil {
		s.until = make(map[ProcessID]time.Time)
	}
	if _, back := s.until[id]; !back {
		s.until[id] = time.Time{}
	}
}

// back notes that the reader of a process is back. It may come before add.
func (s *stuckProcesses) back(id ProcessID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.until == nil {
		s.until = make(map[ProcessID]time.Time)
	}
	for old, until := range s.until {
		if len(s.until) < maxStuck {
			break
		}
		if !until.IsZero() {
			delete(s.until, old)
		}
	}
	s.until[id] = time.Now().Add(retryAfter)
}

// has reports whether the process is not to be asked now.
func (s *stuckProcesses) has(id ProcessID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	until, stuck := s.until[id]
	if stuck && !until.IsZero() && time.Now().After(until) {
		delete(s.until, id)
		return false
	}
	return stuck
}
