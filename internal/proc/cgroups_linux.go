package proc

import (
	"context"
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// Cgroups reads the tree of control groups (v2), where the id of a group is the
// inode of its directory. Every user may. If no such tree is mounted, the index
// is empty.
func (f *FS) Cgroups(ctx context.Context) (*CgroupIndex, error) {
	x := &CgroupIndex{byID: make(map[uint64]Cgroup)}
	b, err := f.readFile(f.ofSelf("mountinfo"), maxTable)
	if err != nil {
		return nil, fmt.Errorf("list control groups: %w", err)
	}
	point := cgroupMount(b)
	if point == "" {
		return x, nil
	}
	fd, err := unix.Open(point, openDir, 0)
	if err != nil {
		return nil, fmt.Errorf("list control groups: open %s: %w", point, err)
	}
	s := cgroupScan{ctx: ctx, index: x, buf: make([]byte, namesSize)}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		closeFD(fd)
		return nil, fmt.Errorf("list control groups: stat %s: %w", point, err)
	}
	x.byID[st.Ino] = parseCgroupPath("/")
	s.ownersMean = f.unified() != ""
	return x, s.scan(fd, "", "", 0)
}

// Bounds on the tree, which users with a delegated group can grow.
const (
	maxCgroups     = 1 << 18
	maxCgroupDepth = 64
)

type cgroupScan struct {
	ctx   context.Context
	index *CgroupIndex
	buf   []byte
	// ownersMean: the owners of directories are those of the host.
	ownersMean bool
}

// A child is a directory entry of a group.
type child struct {
	id   uint64
	name string
}

// scan notes the groups under the directory fd, which it closes. It skips
// groups gone meanwhile. sure is the beginning of path whose names no user chose.
func (s *cgroupScan) scan(fd int, path, sure string, depth int) error {
	systems := sure == path && (!s.ownersMean || rootsOwn(fd))
	children, errno := s.children(fd)
	defer closeFD(fd)
	if errno != 0 && !gone(errno) && !denied(errno) && errno != unix.ENODEV {
		return fmt.Errorf("list control group %s/: %w", path, errno)
	}
	for _, c := range children {
		if err := s.ctx.Err(); err != nil {
			return fmt.Errorf("list control groups: %w", err)
		}
		if len(s.index.byID) >= maxCgroups {
			return nil
		}
		p := path + "/" + c.name
		ours := sure
		if systems {
			ours = p[:aboveUsers(p)]
		}
		s.index.byID[c.id] = markedBeside(parseCgroupPath(p), parseCgroupPath(ours))
		if depth >= maxCgroupDepth {
			continue
		}
		sub, err := unix.Openat(fd, c.name, openDir|unix.O_NOFOLLOW, 0)
		if err != nil {
			continue // gone, or not for us: the groups beneath stay unknown
		}
		if err := s.scan(sub, p, ours, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// children lists the directories in fd, with their inodes.
func (s *cgroupScan) children(fd int) ([]child, unix.Errno) {
	var all []child
	for {
		n, errno := getdents(fd, s.buf)
		if errno != 0 || n == 0 {
			return all, errno
		}
		for rest := s.buf[:n]; len(rest) > 0; {
			entry := rest
			var name []byte
			if name, rest = nextEntry(rest); name == nil {
				return all, 0
			}
			if entry[direntType] == unix.DT_DIR && string(name) != "." && string(name) != ".." {
				all = append(all, child{binary.NativeEndian.Uint64(entry), string(name)})
			}
		}
	}
}

// direntType is the offset of the type in struct linux_dirent64.
const direntType = 18
