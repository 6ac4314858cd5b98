package proc

import (
	"bytes"
	"strings"
)

// A Cgroup names who runs in a control group, by the path of the group.
type Cgroup struct {
	// Path is the path itself, under the root of its hierarchy.
	Path string
	// Unit is the systemd unit as systemd prints it: "nginx.service",
	// "user@1000.service", "dev-disk-by\x2duuid.swap". Empty: none.
	Unit string
	// Container is the id of the container, shortened to 12 digits if it is a
	// hash, or its name (lxc, systemd-nspawn).
	Container string
	// Runtime is "docker", "containerd", "cri-o", "podman", "lxc" or
	// "systemd-nspawn"; empty if the path has no sign of it. It says whose files
	// name the container.
	Runtime string
	// Pod is the uid of the Kubernetes pod.
	Pod string
	// ID is the whole id of the container, empty if it has a name instead.
	ID string
}

// parseCgroups parses the content of /proc/PID/cgroup: of the unified hierarchy
// (cgroup v2), of the separate ones (v1), or of both. Systemd's own hierarchy
// decides on the unit; a container counts from any. Malformed lines are
// skipped: a process cannot write here.
func parseCgroups(b []byte) Cgroup {
	var all Cgroup
	rank := 0
	for line := range bytes.Lines(b) {
		parts := strings.SplitN(string(trimNewline(line)), ":", 3)
		if len(parts) != 3 || !strings.HasPrefix(parts[2], "/") {
			continue
		}
		one := parseCgroupPath(parts[2])
		// A line of "0::" is the unified hierarchy. Beside "name=systemd" it
		// may be empty, so the better informed one decides.
		r := 1
		switch {
		case parts[1] == "name=systemd":
			r = 3
		case parts[0] == "0" && parts[1] == "":
			r = 2
		}
		if one.Unit != "" && r > rank {
			all.Unit, all.Path, rank = one.Unit, one.Path, r
		}
		if all.Container == "" && one.Container != "" || all.Runtime == "" && one.Runtime != "" {
			all.Container, all.Runtime, all.ID = one.Container, one.Runtime, one.ID
		}
		if all.Pod == "" {
			all.Pod = one.Pod
		}
		if all.Path == "" || all.Path == "/" {
			all.Path = one.Path
		}
	}
	return all
}

// parseCgroupPath parses the path of one control group. Of containers inside
// one another the innermost counts; of units the outermost, as for systemd.
func parseCgroupPath(path string) Cgroup {
	c := Cgroup{Path: path}
	parent := ""
	for part := range strings.SplitSeq(path, "/") {
		if part == "" || part == ".." {
			continue
		}
		if c.Unit == "" {
			c.Unit = unitOf(part)
		}
		if pod := podOf(part); pod != "" {
			c.Pod = pod
		}
		if id, runtime := containerOf(part, parent, c.Pod != ""); id != "" {
			c.Container, c.Runtime, c.ID = shortID(id), runtime, ""
			if isHash(id) {
				c.ID = id
			}
		}
		parent = part
	}
	return c
}

// unitOf returns the unit named by the part of a path, "" for none. A slice is
// a place for units; nothing runs in one.
func unitOf(part string) string {
	// Systemd puts "_" before a name easily taken for a control file.
	name := strings.TrimPrefix(part, "_")
	dot := strings.LastIndexByte(name, '.')
	if dot < 1 {
		return ""
	}
	switch name[dot+1:] {
	case "service", "scope", "socket", "mount", "swap":
	default:
		return ""
	}
	for i := range dot {
		if c := name[i]; !isAlnum(c) && !strings.ContainsRune(`:-_.\@`, rune(c)) {
			return ""
		}
	}
	return name
}

// podOf returns the pod's uid if the part is a pod's group:
// "kubepods-burstable-pod0e1f…_….slice" or "pod0e1f…".
func podOf(part string) string {
	name := part
	if before, _, colon := strings.Cut(part, ":"); colon {
		name = before // containerd's "slice:prefix:id"
	}
	if kube := strings.Index(name, "kubepods"); kube >= 0 {
		_, after, found := strings.Cut(name[kube:], "-pod")
		if !found {
			return ""
		}
		name = "pod" + after
	}
	uid, found := strings.CutPrefix(strings.TrimSuffix(name, ".slice"), "pod")
	if !found {
		return ""
	}
	uid = strings.ReplaceAll(uid, "_", "-")
	if isUUID(uid) || len(uid) == 32 && isHex(uid) {
		return uid
	}
	return ""
}

// scopes are the prefixes of "PREFIX-HASH.scope" and "PREFIX-HASH", by runtime.
// No hash follows the one of a monitor ("libpod-conmon-…"), so it does not fit.
var scopes = [...]struct{ prefix, runtime string }{
	{"docker-", "docker"},
	{"cri-containerd-", "containerd"},
	{"nerdctl-", "containerd"},
	{"crio-", "cri-o"},
	{"libpod-payload-", "podman"},
	{"libpod-", "podman"},
}

// containerOf returns the container whose group the part is, by its whole id or
// name, and its runtime.
// A bare hash is read by its parent, and by whether it is in a pod.
func containerOf(part, parent string, inPod bool) (id, runtime string) {
	if fields := strings.Split(part, ":"); len(fields) == 3 && isHash(fields[2]) {
		_, runtime = scopeOf(fields[1] + "-" + fields[2])
		return fields[2], runtime
	}
	if id, runtime = scopeOf(strings.TrimSuffix(part, ".scope")); id != "" {
		return id, runtime
	}
	if isHash(part) {
		return bareHash(part, parent, inPod)
	}
	return namedContainer(part, parent)
}

// scopeOf takes "PREFIX-HASH" apart.
func scopeOf(name string) (id, runtime string) {
	for _, s := range scopes {
		if id, found := strings.CutPrefix(name, s.prefix); found && isHash(id) {
			return id, s.runtime
		}
	}
	return "", ""
}

func bareHash(part, parent string, inPod bool) (id, runtime string) {
	switch {
	case parent == "docker":
		return part, "docker"
	case parent == "containerd", parent == "k8s.io", parent == "default":
		return part, "containerd"
	case parent == "libpod_parent":
		return part, "podman"
	case inPod, len(part) == 64:
		return part, ""
	}
	return "", ""
}

// namedContainer returns a container with a name and no hash.
func namedContainer(part, parent string) (id, runtime string) {
	if name, found := strings.CutPrefix(part, "lxc.payload."); found {
		return name, "lxc"
	}
	if parent == "lxc" || parent == "lxc.payload" {
		return part, "lxc"
	}
	if name, found := strings.CutPrefix(part, "systemd-nspawn@"); found {
		return unescapeUnit(strings.TrimSuffix(name, ".service")), "systemd-nspawn"
	}
	name, found := strings.CutPrefix(part, "machine-")
	if !found || !strings.HasSuffix(name, ".scope") || strings.HasPrefix(name, `qemu\x2d`) {
		return "", "" // a virtual machine is no container
	}
	name = unescapeUnit(strings.TrimSuffix(name, ".scope"))
	if lxc, found := strings.CutPrefix(name, "lxc-"); found {
		return lxc, "lxc"
	}
	return name, "systemd-nspawn"
}

// shortID cuts a hash to the usual 12 digits.
func shortID(id string) string {
	if isHash(id) {
		return id[:12]
	}
	return id
}

// isHash reports whether s is a container's id: 64 hexadecimal digits, or 32
// as of some runtimes.
func isHash(s string) bool { return (len(s) == 64 || len(s) == 32) && isHex(s) }

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (s[i] == '-') || !dash && !isHexDigit(s[i]) {
			return false
		}
	}
	return true
}

func isHex(s string) bool {
	for i := range len(s) {
		if !isHexDigit(s[i]) {
			return false
		}
	}
	return true
}

func isHexDigit(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' }

func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// unescapeUnit undoes systemd's escapes in a name: `\x2d` for "-".
func unescapeUnit(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if len(s)-i >= 4 && s[i:i+2] == `\x` && isHexDigit(s[i+2]) && isHexDigit(s[i+3]) {
			b.WriteByte(hexValue(s[i+2])<<4 | hexValue(s[i+3]))
			i += 3
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func hexValue(c byte) byte {
	if c >= 'a' {
		return c - 'a' + 10
	}
	return c - '0'
}
