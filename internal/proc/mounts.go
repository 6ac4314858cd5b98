package proc

import (
	"bytes"
	"strings"

	"github.com/seed-44df2ae6/whose/internal/netns"
)

// A netNSMount is a mount of a network namespace.
type netNSMount struct {
	inode uint32
	point string
	// slow: its path crosses a file system served by another program or host,
	// so opening it may never return.
	slow bool
}

// netNSMounts returns the mounts of network namespaces in a mountinfo.
func netNSMounts(mountinfo []byte) []netNSMount {
	if !bytes.Contains(mountinfo, []byte("net:[")) {
		return nil
	}
	var found []netNSMount
	var slow []string
	for line := range bytes.Lines(mountinfo) {
		m, err := parseMount(line)
		if err != nil {
			continue
		}
		if isSlow(m.Type) {
			slow = append(slow, m.Point)
		}
		if m.Type != "nsfs" {
			continue
		}
		if inode, ok := netns.ParseLink([]byte(m.Root)); ok {
			found = append(found, netNSMount{inode: inode, point: m.Point})
		}
	}
	for i := range found {
		for _, point := range slow {
			found[i].slow = found[i].slow || strings.HasPrefix(found[i].point, strings.TrimSuffix(point, "/")+"/")
		}
	}
	return found
}

// isSlow reports whether another program or host answers for the file system.
func isSlow(fsType string) bool {
	switch base, _, _ := strings.Cut(fsType, "."); base {
	case "fuse", "fuseblk", "nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "afs", "autofs", "virtiofs", "glusterfs", "lustre":
		return true
	}
	return false
}

// ipNetNSName returns the name of a mount of `ip netns`, "" for others.
func ipNetNSName(point string) string {
	for _, dir := range []string{"/run/netns/", "/var/run/netns/"} {
		if name, found := strings.CutPrefix(point, dir); found && !strings.Contains(name, "/") {
			return name
		}
	}
	return ""
}

// IsMadeUp reports whether a tool of containers made up a name of `ip netns`:
// Podman's netavark ("netns-UUID"), CNI ("cni-UUID") and CRI-O (a bare UUID).
func IsMadeUp(name string) bool {
	for _, prefix := range [...]string{"netns-", "cni-", ""} {
		if uuid, found := strings.CutPrefix(name, prefix); found && isUUID(uuid) {
			return true
		}
	}
	return false
}

// cgroupMount returns the mount point of the unified hierarchy, "" for none.
func cgroupMount(mountinfo []byte) string {
	for line := range bytes.Lines(mountinfo) {
		if m, err := parseMount(line); err == nil && m.Type == "cgroup2" {
			return m.Point
		}
	}
	return ""
}

// hidepidOf returns the value of hidepid of the procfs mounted at root.
func hidepidOf(mountinfo []byte, root string) string {
	value := ""
	for line := range bytes.Lines(mountinfo) {
		m, err := parseMount(line)
		if err != nil || m.Type != "proc" || m.Point != root {
			continue
		}
		value = m.Option("hidepid")
	}
	return value
}
