package main

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// mountedNetNS names the network namespaces that are mounted in a folder, as
// `ip netns` does. The names are those of files, and so stay.
func mountedNetNS(dir string) map[uint32]string {
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
