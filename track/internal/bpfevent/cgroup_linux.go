package bpfevent

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// openRootCgroup opens the root of the cgroup v2 hierarchy. It mounts the
// hierarchy for this process alone and nowhere in the file system, so the
// host's mount does not matter. This needs CAP_SYS_ADMIN; without it,
// openRootCgroup tries the usual places.
func openRootCgroup() (*os.File, error) {
	fd, err := unix.Fsopen("cgroup2", unix.FSOPEN_CLOEXEC)
	if err == nil {
		defer unix.Close(fd)
		err = unix.FsconfigCreate(fd)
	}
	if err == nil {
		var mount int
		mount, err = unix.Fsmount(fd, unix.FSMOUNT_CLOEXEC, 0)
		if err == nil {
			return os.NewFile(uintptr(mount), "cgroup2"), nil
		}
	}
	for _, path := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var stat unix.Statfs_t
		if unix.Statfs(path, &stat) == nil && stat.Type == unix.CGROUP2_SUPER_MAGIC {
			return os.Open(path)
		}
	}
	return nil, fmt.Errorf("open root cgroup: %w", err)
}
