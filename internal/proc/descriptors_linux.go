package proc

// The hot loop: reading the links of one descriptor table.
//
// Listing a directory of descriptors costs the kernel nearly half as much as
// reading the links, and tables are dense. So links are read by number from 0
// on, which needs no list, until too many numbers are free. Only from there on
// the directory is listed. The list is in order of the numbers, and its
// position is the number plus two (proc_readfd_common in the kernel's
// fs/proc/fd.c). Every number is either read or listed: no descriptor open the
// whole time is missed, whatever else is opened and closed meanwhile.

import (
	"github.com/seed-44df2ae6/whose/internal/netns"
	"github.com/seed-44df2ae6/whose/internal/source"
	"golang.org/x/sys/unix"
)

// fdOffset is added to a descriptor's number for its place in the directory.
const fdOffset = 2

// table reads the descriptor table in dir. It is the one of the thread tid, or
// of the main thread if tid is zero.
func (wk *worker) table(dir int, pid, tid uint32) unix.Errno {
	from := int32(0)
	if wk.fs.live {
		var errno unix.Errno
		if from, errno = wk.probe(dir, pid, tid); errno != 0 || wk.scan.over() {
			return errno
		}
		if _, err := unix.Seek(dir, int64(from)+fdOffset, unix.SEEK_SET); err != nil {
			from = 0 // a procfs without seek: list it from the start
		}
	}
	return wk.listed(dir, pid, tid, from)
}

// probe reads links by number until it found as many as the table holds, or too
// many numbers are free, and returns the first number not tried.
func (wk *worker) probe(dir int, pid, tid uint32) (int32, unix.Errno) {
	open := openDescriptors(dir)
	found, free := int64(0), int32(0)
	for fd := int32(0); ; fd++ {
		switch errno := wk.descriptor(dir, pid, tid, fd); {
		case errno == 0:
			if found++; found == open || fd&63 == 63 && wk.scan.over() {
				return fd + 1, 0
			}
		case errno != unix.ENOENT:
			return fd, errno
		default:
			if free++; free > tolerance(open, fd) {
				return fd + 1, 0
			}
		}
	}
}

// tolerance bounds the free numbers tried up to the descriptor fd before the
// table is listed. A free number costs somewhat more than a listed one, so an
// eighth of the table may be free; if its size is unknown, a sixteenth of the
// numbers tried.
func tolerance(open int64, fd int32) int32 {
	if open > 0 {
		return int32(min(open>>3, 1<<20))
	}
	return fd >> 4
}

// openDescriptors returns the number of open descriptors, the size of the
// directory since Linux 6.2, and 0 if unknown. It may change at any time and so
// only ends the probing.
func openDescriptors(dir int) int64 {
	var st unix.Stat_t
	if err := unix.Fstat(dir, &st); err != nil {
		return 0
	}
	return st.Size
}

// listed reads the links listed by the directory from its position, from the
// descriptor from on.
func (wk *worker) listed(dir int, pid, tid uint32, from int32) unix.Errno {
	var failure unix.Errno
	count := 0
	errno := entries(dir, wk.names, func(name []byte) bool {
		n, ok := parseUint(name)
		if !ok || n > 1<<30 || int32(n) < from {
			return true
		}
		if errno := wk.descriptor(dir, pid, tid, int32(n)); errno != 0 && errno != unix.ENOENT {
			failure = errno
			return false
		}
		count++
		return count&63 != 0 || !wk.scan.over()
	})
	if failure != 0 {
		return failure
	}
	return errno
}

// descriptor reads one link and notes its target. ENOENT: the number is
// free.
func (wk *worker) descriptor(dir int, pid, tid uint32, fd int32) unix.Errno {
	read := readlinkat
	if wk.fs.live {
		read = readlinkNow
	}
	n, errno := read(dir, wk.name.set("", int64(fd), ""), wk.link[:])
	if errno != 0 {
		return errno
	}
	wk.links++
	link := wk.link[:n]
	if inode, ok := parseSocketLink(link); ok {
		wk.socket(inode, pid, fd)
	} else if wk.scan.opt.WantNetNS {
		if inode, ok := netns.ParseLink(link); ok {
			wk.heldNetNS(inode, pid, tid, fd)
		}
	}
	return 0
}

// socket notes a process's holding of a socket, if it is wanted.
func (wk *worker) socket(inode uint64, pid uint32, fd int32) {
	p := wk.scan
	if p.opt.Want != nil {
		slot := p.opt.Want.slot(inode)
		if slot < 0 {
			return
		}
		if p.found != nil && p.found[slot].CompareAndSwap(false, true) {
			wk.slots = append(wk.slots, slot)
			p.remaining.Add(-1)
		}
	}
	wk.holdings = append(wk.holdings, source.Holding{Inode: inode, PID: pid, FD: fd})
}

// heldNetNS notes a network namespace referred to by a descriptor.
func (wk *worker) heldNetNS(inode, pid, tid uint32, fd int32) {
	if _, met := wk.known[inode]; met {
		return
	}
	wk.known[inode] = netNS{}
	wk.netns = append(wk.netns, source.NetNSRef{Inode: inode, Path: wk.fdPath(pid, tid, fd)})
}
