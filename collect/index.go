package collect

import "github.com/seed-44df2ae6/whose/internal/source"

// An inodeIndex finds a socket by its inode. It is open addressing over words
// with the low half of the inode and the socket's place, so a miss costs one
// cache line and no pointer. Its memory is used again.
type inodeIndex struct {
	slots []uint64
	mask  uint32
	// wide: some inode needs more than 32 bits, so a hit has to be confirmed.
	// The kernel counts sockfs inodes in 32 bits.
	wide bool
}

// reset empties the index and makes room for n sockets.
func (x *inodeIndex) reset(n int) {
	size := 16
	for size < 2*n {
		size *= 2
	}
	x.slots = zeroed(x.slots, size)
	x.mask = uint32(size - 1)
	x.wide = false
}

// hashInode spreads consecutive inodes.
func hashInode(inode uint64) uint32 { return uint32((inode * 0x9e3779b97f4a7c15) >> 32) }

// find returns the place of the socket with the inode, or -1.
func (x *inodeIndex) find(sockets []source.Socket, inode uint64) int {
	if len(x.slots) == 0 {
		return -1
	}
	for h := hashInode(inode) & x.mask; ; h = (h + 1) & x.mask {
		slot := x.slots[h]
		if slot == 0 {
			return -1
		}
		if uint32(slot>>32) != uint32(inode) {
			continue
		}
		at := int(uint32(slot)) - 1
		if !x.wide || sockets[at].Inode == inode {
			return at
		}
	}
}

// move changes the place of the socket with an inode that is there.
func (x *inodeIndex) move(inode uint64, at int) {
	h := hashInode(inode) & x.mask
	for uint32(x.slots[h]>>32) != uint32(inode) {
		h = (h + 1) & x.mask
	}
	x.slots[h] = uint64(uint32(inode))<<32 | uint64(uint32(at+1))
}

// add notes the inode of the socket at place at. The caller makes sure that it
// is not there yet.
func (x *inodeIndex) add(inode uint64, at int) {
	x.wide = x.wide || inode>>32 != 0
	h := hashInode(inode) & x.mask
	for x.slots[h] != 0 {
		h = (h + 1) & x.mask
	}
	x.slots[h] = uint64(uint32(inode))<<32 | uint64(uint32(at+1))
}
