package proc

import (
	"context"
	"errors"
	"io/fs"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/netns"
)

// netNSMounts returns the mounts of network namespaces seen by the process of
// this name: none if it is gone, or its table cannot be read.
func (f *FS) netNSMounts(process string) []netNSMount {
	b, err := f.readFile(process+"/mountinfo", maxTable)
	if err != nil {
		return nil
	}
	return netNSMounts(b)
}

// addMounts adds the namespaces held by mounts: in our own mount namespace,
// then in each other one of a process, if no other way into them is known.
func (s *netNSSet) addMounts(ctx context.Context) {
	for _, m := range s.fs.netNSMounts(s.fs.Self()) {
		if s.paths[m.inode] == "" {
			s.addMount(m, m.point)
		}
	}
	self := s.fs.mountNS(s.fs.Self())
	for mnt, pid := range s.mnts {
		if ctx.Err() != nil || mnt == self {
			continue
		}
		process := pidDir(pid)
		for _, m := range s.fs.netNSMounts(process) {
			if !s.known(m.inode) {
				s.addMount(m, netns.ThroughRoot(s.fs.path(process), m.point))
			}
		}
	}
}

// addMount adds the namespace of a mount at path, unless something else was
// mounted over it. It notes namespaces that may not be reached, or only by a
// way that may hang.
func (s *netNSSet) addMount(m netNSMount, path string) {
	if m.slow {
		s.unreachable[m.inode] = true
		return
	}
	if !s.fs.live {
		s.paths[m.inode] = path
		return
	}
	switch is, err := netns.IsMount(path, m.inode); {
	case is:
		s.paths[m.inode] = path
	case errors.Is(err, fs.ErrPermission):
		s.refused[m.inode] = true
	case errors.Is(err, whose.ErrUnsupported):
		s.unreachable[m.inode] = true
	}
}

// mountNS returns the mount namespace of a process, 0 if it may not be read.
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
