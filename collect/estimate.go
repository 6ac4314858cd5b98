package collect

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
)

// maxEstimate bounds the memory reserved on the word of a counter.
const maxEstimate = 2 << 20

// makeRoom reserves memory for the likely number of sockets on the host. The
// first collection then does not grow its arrays step by step, which cost more
// at a hundred thousand sockets than joining them. The number is a hint and
// nothing more.
func (g *gatherer) makeRoom() {
	if onlyListeners(g.plan.states) || len(g.query.PIDs) > 0 || len(g.query.Any) > 0 {
		return
	}
	n := min(allocatedSockets(), maxEstimate)
	n += n/16 + 64
	g.snap.Sockets = reserve(g.snap.Sockets, n)
	if g.plan.needs.Owners() { // whichever finds them: untouched memory costs nothing
		g.snap.Holdings = reserve(g.snap.Holdings, n)
		g.walk.Holdings = reserve(g.walk.Holdings, n)
	}
}

// hugeAnswer is the number of sockets from which on memory is given up, unless
// sessions are made of it.
const hugeAnswer = 256 << 10

// shed gives up the memory used for joining and ordering only, if it is much:
// at a million sockets some 110 MB, in which the output then finds its room.
// Smaller memory is kept for the next collection.
func (s *stages) shed() {
	if len(s.joined.sockets) < hugeAnswer {
		return
	}
	s.gathered.snap.Holdings, s.gathered.walk.Holdings = nil, nil
	s.derived.ends.hashes, s.derived.ends.slots = nil, nil
	if !s.gathered.paths {
		s.gathered.index = inodeIndex{}
	}
	s.ordered.keys, s.ordered.spare = nil, nil
	runtime.GC() // its next turn would come when the heap has grown by another third
}

// reserve returns the empty slice s with room for n elements. It does not touch
// new memory, as slices.Grow would.
func reserve[T any](s []T, n int) []T {
	if cap(s) >= n {
		return s
	}
	s = make([]T, 0, n)
	adviseLarge(s)
	return s
}

// allocatedSockets returns the number of the kernel's TCP sockets, in all
// namespaces (TCP alloc of /proc/net/sockstat); 0 if it cannot be read.
func allocatedSockets() int {
	text, err := os.ReadFile("/proc/net/sockstat")
	if err != nil {
		return 0
	}
	fields := bytes.Fields(text)
	for i, f := range fields[:max(len(fields), 1)-1] {
		if string(f) == "alloc" {
			n, _ := strconv.Atoi(string(fields[i+1]))
			return max(n, 0)
		}
	}
	return 0
}
