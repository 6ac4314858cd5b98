package proc

import (
	"iter"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// WalkOptions narrow a walk. The zero value asks for every socket
// descriptor of every process.
type WalkOptions struct {
	// Workers is how many processes are looked into at once. Zero means
	// GOMAXPROCS.
	Workers int
	// PIDs are the processes to look into; empty means all. The number of a
	// thread that is not a process finds nothing.
	PIDs []uint32
	// Process, if not nil, is asked before a process is looked into; its
	// descriptors are read only if it returns true. It is called from many
	// goroutines at once.
	Process func(pid uint32, comm string) bool
	// Want are the wanted sockets, by inode; others are left out. Nil means
	// every socket. It must not be changed during the walk.
	Want *Inodes
	// FirstOwner ends the walk when each of Want has been found in one
	// process; some then have more owners than were found.
	FirstOwner bool
	// WantNetNS also collects the network namespaces referred to by
	// descriptors.
	WantNetNS bool
}

// A Walk holds the findings of a walk. The zero value is ready for use; a walk appends
// to it, and its memory can be used again after Reset.
type Walk struct {
	// Holdings, one for each socket descriptor, in no order.
	Holdings []source.Holding
	// Tasks are the processes of Holdings, each once, in no order.
	Tasks []source.Task
	// NetNS are the network namespaces referred to by descriptors, each once,
	// by /proc/PID/fd/N, with WantNetNS.
	NetNS []source.NetNSRef
	// Processes counts the processes whose descriptors were read.
	Processes int
	// Denied counts the processes whose descriptors may not be read. Kernel
	// threads and ended processes, which hold nothing, do not count.
	Denied int
	// Gone counts the processes that exited during the look.
	Gone int
	// Links counts the descriptors' links read.
	Links int
	// Early: the walk ended early, since all of Want was found.
	Early bool
	// Gaps account for everything not seen.
	Gaps whose.Gaps
}

// Reset empties the walk and keeps its memory.
func (w *Walk) Reset() {
	*w = Walk{Holdings: w.Holdings[:0], Tasks: w.Tasks[:0], NetNS: w.NetNS[:0], Gaps: w.Gaps[:0]}
}

// Inodes is a set of inode numbers. Zero is never in it. The zero value is
// empty and ready for use. It is safe for concurrent reading.
type Inodes struct {
	slots []uint64 // open addressing, at most half full; 0 is free
	n     int
}

// NewInodes returns a set with room for n inodes.
func NewInodes(n int) *Inodes {
	s := new(Inodes)
	s.Grow(n)
	return s
}

// Len returns how many inodes are in the set.
func (s *Inodes) Len() int { return s.n }

// All returns the inodes of the set, in no order.
func (s *Inodes) All() iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		for _, inode := range s.slots {
			if inode != 0 && !yield(inode) {
				return
			}
		}
	}
}

// Reset empties the set and keeps its memory.
func (s *Inodes) Reset() {
	clear(s.slots)
	s.n = 0
}

// Grow makes room for n more inodes.
func (s *Inodes) Grow(n int) {
	size := 16
	for size < 2*(s.n+n) {
		size *= 2
	}
	if size <= len(s.slots) {
		return
	}
	old := s.slots
	s.slots, s.n = make([]uint64, size), 0
	for _, inode := range old {
		s.Add(inode)
	}
}

// Add puts inode into the set. Zero, the inode of a socket without a file, is
// left out.
func (s *Inodes) Add(inode uint64) {
	if inode == 0 {
		return
	}
	if 2*(s.n+1) > len(s.slots) {
		s.Grow(max(8, s.n))
	}
	i := s.start(inode)
	for s.slots[i] != 0 {
		if s.slots[i] == inode {
			return
		}
		i = (i + 1) & (len(s.slots) - 1)
	}
	s.slots[i] = inode
	s.n++
}

// Has reports whether inode is in the set.
func (s *Inodes) Has(inode uint64) bool { return s.slot(inode) >= 0 }

// slot returns the place of inode, -1 if it is not in the set.
func (s *Inodes) slot(inode uint64) int {
	if s.n == 0 || inode == 0 {
		return -1
	}
	for i := s.start(inode); ; i = (i + 1) & (len(s.slots) - 1) {
		switch s.slots[i] {
		case inode:
			return i
		case 0:
			return -1
		}
	}
}

// start is the first slot of the search for inode: multiplicative hashing,
// since inodes come in runs.
func (s *Inodes) start(inode uint64) int {
	return int(inode*0x9e3779b97f4a7c15>>32) & (len(s.slots) - 1)
}
