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
		var st unix.Stat_t
		if unix.Stat(filepath.Join(dir, e.Name()), &st) == nil {
			if old := names[uint32(st.Ino)]; old == "" || e.Name() < old {
				names[uint32(st.Ino)] = e.Name()
			}
		}
	}
	return names
}
