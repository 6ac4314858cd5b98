package limits

import (
	"fmt"
	"math"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Below these a limit is tight. The runtime reserves some 1.2 GiB of address space
// before it begins; a million sessions take 400 MB. A process has some five
// threads, and one more for each processor and for each read that the kernel does
// not answer.
const (
	tightSpace   = 4 << 30   // RLIMIT_AS, bytes
	tightData    = 1 << 30   // RLIMIT_DATA, bytes
	tightMemory  = 512 << 20 // bytes left in a control group
	tightUser    = 512       // RLIMIT_NPROC: all threads of the user
	tightThreads = 64        // threads left in a control group
	maxFile      = 64 << 10  // bytes read of a file of the kernel
	maxLevels    = 64        // control groups above one another
	noLimit      = math.MaxInt64
)

// Tight returns a limit in force that may end the runtime, and whether there is
// one. It costs some system calls and starts no thread. In the second process
// there is none: its end is awaited already. It needs no privilege; a limit that
// cannot be read counts as none. Limits are those of getrlimit(2) and of control
// groups, version 1 and 2 (Linux 4.5).
func Tight() (Limit, bool) {
	if os.Getenv(marker) != "" {
		return Limit{}, false
	}
	for _, r := range []struct {
		number int
		name   string
		tight  uint64
		unit   uint64
	}{
		{unix.RLIMIT_AS, "ulimit -v", tightSpace, 1 << 20},
		{unix.RLIMIT_DATA, "ulimit -d", tightData, 1 << 20},
		{unix.RLIMIT_NPROC, "ulimit -u", tightUser, 1},
	} {
		var is unix.Rlimit
		if unix.Getrlimit(r.number, &is) == nil && is.Cur < r.tight {
			return newLimit(r.name, is.Cur, r.unit), true
		}
	}
	return tightGroup(readSmall("/proc/self/cgroup"), "/sys/fs/cgroup")
}

func newLimit(name string, value, unit uint64) Limit {
	if unit == 1 {
		return Limit{Name: fmt.Sprintf("%s %d", name, value), Threads: true}
	}
	return Limit{Name: fmt.Sprintf("%s %d MiB", name, value/unit)}
}

// tightGroup looks for one among the control groups of the text of
// /proc/PID/cgroup and all above them, below the directory root.
func tightGroup(groups, root string) (Limit, bool) {
	for line := range strings.Lines(groups) {
		_, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		controllers, group, _ := strings.Cut(rest, ":")
		var l Limit
		var tight bool
		switch controllers {
		case "":
			if l, tight = climb(root, group, "pids.max", "pids.current", tightThreads, 1); !tight {
				l, tight = climb(root, group, "memory.max", "memory.current", tightMemory, 1<<20)
			}
		case "pids":
			l, tight = climb(root+"/pids", group, "pids.max", "pids.current", tightThreads, 1)
		case "memory":
			l, tight = climb(root+"/memory", group, "memory.limit_in_bytes", "memory.usage_in_bytes", tightMemory, 1<<20)
		}
		if tight {
			return l, true
		}
	}
	return Limit{}, false
}

// climb reads a limit and its use in a group and in the groups above it.
func climb(root, group, limit, used string, tight, unit uint64) (Limit, bool) {
	group = path.Join("/", group)
	for range maxLevels {
		most := number(path.Join(root, group, limit))
		if most < noLimit-1<<20 { // version 1 has "no limit" in whole pages
			if now := number(path.Join(root, group, used)); now != noLimit && most < now+tight {
				return newLimit("cgroup "+limit, most, unit), true
			}
		}
		if group == "/" {
			break
		}
		group = path.Dir(group)
	}
	return Limit{}, false
}

// number returns the number in a file, noLimit for another word or no such file.
func number(file string) uint64 {
	n, err := strconv.ParseUint(strings.TrimSpace(readSmall(file)), 10, 63)
	if err != nil {
		return noLimit
	}
	return n
}

// readSmall returns the text of a file of the kernel, "" if it cannot be read.
// Unlike package os it starts nothing beside.
func readSmall(file string) string {
	fd, err := unix.Open(file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	var text []byte
	buf := make([]byte, 4<<10)
	for len(text) < maxFile {
		n, err := unix.Read(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n <= 0 {
			break
		}
		text = append(text, buf[:n]...)
	}
	return string(text)
}
