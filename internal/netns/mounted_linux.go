package netns

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Mounted names the network namespaces mounted in a folder, by number, as `ip
// netns` mounts them in /run/netns. It returns nothing for an unreadable folder.
func Mounted(dir string) map[uint32]string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	names := make(map[uint32]string, len(entries))
	for _, e := range entries {
		if inode, ok := mounted(filepath.Join(dir, e.Name())); ok {
			if old := names[inode]; old == "" || e.Name() < old {
				names[inode] = e.Name()
			}
		}
	}
	return names
}

// mounted returns the number of the namespace mounted at path. It follows
// no link there, and opens nothing.
func mounted(path string) (uint32, bool) {
	look, err := unix.Open(path, lookFlags|unix.O_NOFOLLOW, 0)
	if err != nil {
		return 0, false
	}
	defer unix.Close(look)
	inode, err := inodeOf(look)
	return inode, err == nil
}
