package proc

import "sync"

// Processes are described one after the other, on several threads. Their files are read
// into the same few rooms, and those of one service have the same file cgroup, whose
// meaning is found once.

// A sharedReads is what the descriptions of one call have in common. The zero value
// is empty. It is safe for concurrent use.
type sharedReads struct {
	mu     sync.Mutex
	rooms  [][]byte
	groups map[string]Cgroup // by the content of the file
}

// readRoom holds all files but for few.
const readRoom = 4096

// maxSharedGroups bounds the contents that are kept.
const maxSharedGroups = 1024

// take returns memory for the content of a file.
func (s *sharedReads) take() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.rooms)
	if n == 0 {
		return make([]byte, 0, readRoom)
	}
	b := s.rooms[n-1]
	s.rooms = s.rooms[:n-1]
	return b
}

func (s *sharedReads) giveBack(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rooms = append(s.rooms, b)
}

// group returns what the content of a file cgroup says.
func (s *sharedReads) group(content []byte, f *FS) Cgroup {
	s.mu.Lock()
	c, ok := s.groups[string(content)]
	s.mu.Unlock()
	if ok {
		return c
	}
	c = f.mark(parseCgroups(content), content)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.groups == nil {
		s.groups = make(map[string]Cgroup)
	}
	if len(s.groups) < maxSharedGroups {
		s.groups[string(content)] = c
	}
	return c
}
