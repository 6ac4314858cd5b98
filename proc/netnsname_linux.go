package proc

import (
	"context"

	"github.com/seed-44df2ae6/whose"
)

// NetNSNames names network namespaces by their inodes: as `ip netns` does
// where it knows them, else by the container that is in them, else by the
// process. The caller's own has no name unless `ip netns` gave it one. A
// namespace that nothing names is left out, and so is what is not named yet
// when ctx ends.
//
// Names of containers and processes are theirs to choose: any bytes.
func (f *FS) NetNSNames(ctx context.Context, refs []whose.NetNSRef) map[uint32]string {
	names := make(map[uint32]string, len(refs))
	for _, process := range []string{"self", "1"} { // under another root, 1 is the host's
		for _, m := range f.netNSMounts(process) {
			if name := ipNetNSName(m.point); name != "" && names[m.inode] == "" {
				names[m.inode] = name
			}
		}
	}
	self := f.SelfNetNS()
	for _, ref := range refs {
		if ctx.Err() != nil {
			break
		}
		if ref.Inode == self || ref.TID == 0 || names[ref.Inode] != "" {
			continue
		}
		if c, err := f.CgroupOf(ref.TID); err == nil && c.Container != "" {
			names[ref.Inode] = c.Container
		} else if comm, err := f.Comm(ref.TID); err == nil {
			names[ref.Inode] = comm
		}
	}
	return names
}
