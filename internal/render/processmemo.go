package render

import (
	"cmp"

	"github.com/seed-44df2ae6/whose"
)

// A processMemo remembers what was made of the facts of a process, by the
// process itself. It belongs to one goroutine. Processes are never written again.
type processMemo[T any] struct {
	// make makes the value of an owner's process. It does not read the descriptors.
	make func(*whose.Owner) T
	// limit is the number of processes remembered at once, 0 for memoLimit.
	limit  int
	recent [recentProcesses]*remembered[T]
	all    map[*whose.Process]*remembered[T]
}

type remembered[T any] struct {
	of    *whose.Process
	value T
}

const (
	// memoLimit is the number of processes remembered at once by a listing.
	memoLimit = 1 << 16
	// recentProcesses is the number of processes found without a look into the map:
	// those met last, by the last bits of their numbers.
	recentProcesses = 1 << 9
)

// of returns the value of the owner's process.
func (m *processMemo[T]) of(owner *whose.Owner) *T {
	recent := &m.recent[owner.PID%recentProcesses]
	if *recent == nil || (*recent).of != owner.Process {
		*recent = m.find(owner)
	}
	return &(*recent).value
}

func (m *processMemo[T]) find(owner *whose.Owner) *remembered[T] {
	if r, ok := m.all[owner.Process]; ok {
		return r
	}
	if m.all == nil || len(m.all) >= cmp.Or(m.limit, memoLimit) {
		m.all = make(map[*whose.Process]*remembered[T])
	}
	r := &remembered[T]{owner.Process, m.make(owner)}
	m.all[owner.Process] = r
	return r
}
