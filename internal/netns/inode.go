package netns

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// ParseLink returns the number of a namespace's link "net:[4026531840]", and
// false for a link to anything else.
func ParseLink(link []byte) (inode uint32, ok bool) {
	digits, opened := bytes.CutPrefix(link, []byte("net:["))
	digits, shut := bytes.CutSuffix(digits, []byte("]"))
	if !opened || !shut {
		return 0, false
	}
	n, err := strconv.ParseUint(string(digits), 10, 32)
	return uint32(n), err == nil
}

// Inode returns the namespace's number of a link like /proc/PID/ns/net, under
// any root of procfs. It needs the right to look into the process: nothing for
// the caller's own user, CAP_SYS_PTRACE for others.
func Inode(link string) (uint32, error) {
	target, err := os.Readlink(link)
	if err != nil {
		return 0, fmt.Errorf("read network namespace: %w", err)
	}
	inode, ok := ParseLink([]byte(target))
	if !ok {
		return 0, fmt.Errorf("read network namespace: %s: want net:[N]", link)
	}
	return inode, nil
}

// Self returns the number of the calling thread's namespace. It needs procfs,
// of Linux 3.17 or newer.
func Self() (uint32, error) { return Inode(selfPath) }

// selfPath is the namespace of the opening thread.
const selfPath = "/proc/thread-self/ns/net"

// Host returns the number of the host's own namespace under a root of procfs, ""
// for /proc. It is the namespace of the first process, if readable, and
// otherwise of this one. Zero: unknown.
func Host(root string) uint32 {
	if root == "" {
		root = "/proc"
	}
	for _, process := range []string{"1", "self"} {
		if inode, err := Inode(filepath.Join(root, process, "ns/net")); err == nil {
			return inode
		}
	}
	return 0
}
