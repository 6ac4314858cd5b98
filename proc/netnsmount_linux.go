package proc

import (
	"context"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
)

// netNSMounts returns the mounts of network namespaces that the process, "self" or
// a number, sees. One whose table cannot be read, or that is gone, has none to
// tell.
func (f *FS) netNSMounts(process string) []netNSMount {
	b, err := f.readFile(process+"/mountinfo", maxTable)
	if err != nil {
		return nil
	}
	return netNSMounts(b)
}

// addMounts adds the namespaces that mounts hold: in our own mount namespace,
// then in each other that a process is in.
func (s *netNSSet) addMounts(ctx context.Context) {
	own := map[uint32]bool{}
	for _, m := range s.fs.netNSMounts("self") {
		if own[m.inode] || m.slow || s.fs.live && !leadsTo(m.point, m.inode) {
			continue
		}
		own[m.inode] = true
		s.byInode[m.inode] = whose.NetNSRef{Inode: m.inode, TID: s.byInode[m.inode].TID, Path: m.point}
	}
	self := s.fs.mountNS("self")
	for mnt, pid := range s.mnts {
		if ctx.Err() != nil || mnt == self {
			continue
		}
		process := pidDir(pid)
		for _, m := range s.fs.netNSMounts(process) {
			if _, met := s.byInode[m.inode]; met {
				continue
			}
			if m.slow {
				s.unreachable[m.inode] = true
				continue
			}
			s.byInode[m.inode] = whose.NetNSRef{Inode: m.inode, Path: s.fs.path(process + "/root" + m.point)}
		}
	}
}

// mountNS returns the mount namespace of a process, 0 where it may not be read.
func (f *FS) mountNS(process string) uint32 {
	var link [linkSize]byte
	var name cname
	n, errno := readlinkat(f.dir, name.set(process+"/ns/mnt", -1, ""), link[:])
	if errno != 0 {
		return 0
	}
	inode, _ := numberIn(link[:n], "mnt:[")
	return uint32(inode)
}

// leadsTo reports whether path is the namespace: nothing was mounted over it.
func leadsTo(path string, inode uint32) bool {
	var st unix.Stat_t
	return unix.Stat(path, &st) == nil && uint32(st.Ino) == inode
}
