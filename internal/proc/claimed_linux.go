package proc

import (
	"bytes"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
)

// A user may have a part of the tree of control groups to himself: systemd gives
// one to the manager of each user, and to services with Delegate=. He makes
// groups there and calls them what he likes, docker-HASH.scope too. Names that
// are found below such a group are marked ([whose.ByUser]).

// A delegation knows how far paths of control groups are the system's. It is safe
// for concurrent use.
type delegation struct {
	mu    sync.Mutex
	known map[string]int // by path
	since time.Time
}

// maxDelegated bounds the paths that are kept.
const maxDelegated = 4096

// mark marks the names in c that b, the content of a file cgroup, has below a
// user's group only.
func (f *FS) mark(c Cgroup, b []byte) Cgroup {
	if c.Unit == "" && c.Container == "" && c.Pod == "" {
		return c
	}
	var sure []byte
	for line := range bytes.Lines(b) {
		parts := strings.SplitN(string(trimNewline(line)), ":", 3)
		if len(parts) != 3 {
			continue
		}
		path := parts[2]
		path = path[:f.systems(path, parts[0] == "0" && parts[1] == "")]
		sure = append(sure, parts[0]+":"+parts[1]+":"+path+"\n"...)
	}
	return markedBeside(c, parseCgroups(sure))
}

// markedBeside marks the names of c that are not in sure.
func markedBeside(c, sure Cgroup) Cgroup {
	for _, n := range []struct {
		name *string
		sure string
	}{{&c.Unit, sure.Unit}, {&c.Container, sure.Container}, {&c.Pod, sure.Pod}} {
		if *n.name != "" && *n.name != n.sure {
			*n.name = whose.ByUser + *n.name
		}
	}
	return c
}

// systems returns the length of the part of a path whose names the system gives.
// unified: it is one of cgroup v2, whose directories say who may write them.
func (f *FS) systems(path string, unified bool) int {
	n := aboveUsers(path)
	if !unified || !f.own || strings.Contains(path, "/..") {
		return n
	}
	d := &f.delegation
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.known == nil || len(d.known) >= maxDelegated || time.Since(d.since) >= lookEvery {
		d.known, d.since = make(map[string]int), time.Now()
	}
	owned, met := d.known[path]
	if !met {
		owned = f.rootsPart(path)
		d.known[path] = owned
	}
	return min(n, owned)
}

// aboveUsers returns the length of the path down to the manager of a user.
func aboveUsers(path string) int {
	at := 0
	for part := range strings.SplitSeq(path, "/") {
		at += len(part)
		if strings.HasPrefix(part, "user@") && strings.HasSuffix(part, ".service") {
			return at
		}
		at++
	}
	return len(path)
}

// rootsPart returns the length of the path whose groups lie in directories that
// only root may write. A group that is not there any more is not root's: its name
// may have been anything.
func (f *FS) rootsPart(path string) int {
	point := f.unified()
	if point == "" {
		return len(path)
	}
	dir, err := unix.Open(point, openPath, 0)
	if err != nil {
		return len(path)
	}
	at := 0
	for part := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		if !rootsOwn(dir) {
			break
		}
		at += 1 + len(part)
		next, err := unix.Openat(dir, part, openPath|unix.O_NOFOLLOW, 0)
		if err != nil {
			at -= 1 + len(part)
			break
		}
		closeFD(dir)
		dir = next
	}
	closeFD(dir)
	return min(at, len(path))
}

// rootsOwn reports whether only root may write the directory.
func rootsOwn(dir int) bool {
	var st unix.Stat_t
	return unix.Fstat(dir, &st) == nil && st.Uid == 0 && st.Mode&0o022 == 0
}

// hostUserNS is the link of the first user namespace (PROC_USER_INIT_INO of
// include/linux/proc_ns.h).
const hostUserNS = "user:[4026531837]"

// unified returns the mount point of cgroup v2, "" for none, or if the owners of
// its directories mean nothing here: in a user namespace of our own.
func (f *FS) unified() string {
	var link [64]byte
	var name cname
	n, errno := readlinkat(f.dir, name.set("self/ns/user", -1, ""), link[:])
	if errno != 0 || string(link[:n]) != hostUserNS {
		return ""
	}
	b, err := f.readFile("self/mountinfo", maxTable)
	if err != nil {
		return ""
	}
	return cgroupMount(b)
}
