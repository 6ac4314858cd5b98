package bpfiter

import "github.com/seed-44df2ae6/whose/internal/source"

// Sockets that nobody holds, or that a process holds whom the iterators do not show,
// stand long as a rule: listeners of a process outside the pid namespace, sockets of
// io_uring. A source that is kept open looks for the holders of each once more, and
// not with each Read.

// A standing is a socket with a file that was met twice in the tables, and by no
// descriptor in between. No other socket has its inode and the key of its file.
type standing struct{ inode, key uint64 }

// An unheldSet has the keys, by inode, of the sockets whose holders the last Read
// looked for twice in vain. A socket that is in it and still without a descriptor
// was in the hands of no process then. The zero value is empty.
type unheldSet map[uint64]uint64

// maxUnheld bounds the sockets that a source remembers.
const maxUnheld = 1 << 16

// others appends to keys those of the sockets that are not in the set.
func (u unheldSet) others(sockets []standing, keys []uint64) []uint64 {
	for _, s := range sockets {
		if key, ok := u[s.inode]; !ok || key != s.key {
			keys = append(keys, s.key)
		}
	}
	return keys
}

// note makes it the set of the sockets, without those that were found.
func (u *unheldSet) note(sockets []standing, found []source.Holding) {
	u.forget()
	for _, s := range sockets[:min(len(sockets), maxUnheld)] {
		if *u == nil {
			*u = make(unheldSet)
		}
		(*u)[s.inode] = s.key
	}
	for _, h := range found {
		delete(*u, h.Inode)
	}
}

func (u unheldSet) forget() { clear(u) }
