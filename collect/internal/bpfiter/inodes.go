package bpfiter

// An inodeSet is a set of inode numbers. The kernel counts the inodes of
// sockets up from one, so they lie close together and a bitmap in pages is
// both smaller and faster than a hash: a million of them take 128 KiB. The
// zero value is an empty set. Its memory is kept by reset.
type inodeSet struct {
	pages []*inodePage
	used  []uint32
	free  []*inodePage
	// large holds numbers above 32 bits, which no kernel has used so far.
	large map[uint64]struct{}
}

const inodePageBits = 15

type inodePage [1 << inodePageBits / 64]uint64

// add puts ino into the set and reports whether it was not in it.
func (s *inodeSet) add(ino uint64) bool {
	if ino>>32 != 0 {
		return s.addLarge(ino)
	}
	word, bit := s.page(uint32(ino>>inodePageBits)), uint64(1)<<(ino&63)
	w := &word[ino>>6&(uint64(len(word))-1)]
	if *w&bit != 0 {
		return false
	}
	*w |= bit
	return true
}

// has reports whether ino is in the set.
func (s *inodeSet) has(ino uint64) bool {
	if ino>>32 != 0 {
		_, ok := s.large[ino]
		return ok
	}
	n := int(ino >> inodePageBits)
	if n >= len(s.pages) || s.pages[n] == nil {
		return false
	}
	p := s.pages[n]
	return p[ino>>6&(uint64(len(p))-1)]>>(ino&63)&1 != 0
}

func (s *inodeSet) page(n uint32) *inodePage {
	if int(n) < len(s.pages) && s.pages[n] != nil {
		return s.pages[n]
	}
	return s.newPage(n)
}

func (s *inodeSet) newPage(n uint32) *inodePage {
	for int(n) >= len(s.pages) {
		s.pages = append(s.pages, make([]*inodePage, int(n)+1-len(s.pages))...)
	}
	var p *inodePage
	if last := len(s.free) - 1; last >= 0 {
		p, s.free = s.free[last], s.free[:last]
	} else {
		p = new(inodePage)
	}
	s.pages[n], s.used = p, append(s.used, n)
	return p
}

func (s *inodeSet) addLarge(ino uint64) bool {
	if _, ok := s.large[ino]; ok {
		return false
	}
	if s.large == nil {
		s.large = make(map[uint64]struct{})
	}
	s.large[ino] = struct{}{}
	return true
}

// reset empties the set and keeps its memory.
func (s *inodeSet) reset() {
	for _, n := range s.used {
		clear(s.pages[n][:])
		s.free = append(s.free, s.pages[n])
		s.pages[n] = nil
	}
	s.used = s.used[:0]
	clear(s.large)
}
