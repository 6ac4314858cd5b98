package netns

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
)

// This file looks at files without opening them. The path to a mount of another
// process's is that process's: its directories may be exchanged, and lie on a
// file system that never answers.

const lookFlags = unix.O_PATH | unix.O_CLOEXEC

// resolveCached is RESOLVE_CACHED of the kernel's include/uapi/linux/openat2.h.
const resolveCached = 0x20

// throughRoot parts the root of a process from the path seen from there.
const throughRoot = "/root/"

// ThroughRoot returns the path, for [Open], of a mount at point as a process sees
// it; process is its directory in a procfs.
func ThroughRoot(process, point string) string {
	return process + throughRoot + strings.TrimPrefix(point, "/")
}

// lookAt returns a descriptor of the file at path without opening the file.
func lookAt(path string) (int, error) {
	process, rest, found := strings.Cut(path, throughRoot)
	if found && endsInNumber(process) {
		return lookThroughRoot(process, rest)
	}
	return unix.Open(path, lookFlags, 0)
}

// endsInNumber reports whether the last part of a path is a number.
func endsInNumber(path string) bool {
	last := path[strings.LastIndexByte(path, '/')+1:]
	return last != "" && strings.Trim(last, "0123456789") == ""
}

// lookThroughRoot looks at a mount that a process sees. A mount keeps its path in
// the kernel's memory, so no more is looked at: a path that would have to be
// asked of a file system is not the one of a mount, or its file system may not
// answer. No link is followed.
func lookThroughRoot(process, rest string) (int, error) {
	root, err := unix.Open(process+"/root", lookFlags|unix.O_DIRECTORY, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(root)
	how := unix.OpenHow{
		Flags:   lookFlags,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_SYMLINKS | resolveCached,
	}
	for range 8 { // a change anywhere in the tree of mounts counts as not in memory
		fd, err := unix.Openat2(root, rest, &how)
		switch {
		case err == nil, !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EPERM):
			return fd, err
		case !errors.Is(err, unix.EAGAIN): // before Linux 5.12
			return unix.Openat(root, rest, lookFlags|unix.O_NOFOLLOW, 0)
		}
	}
	return -1, &whose.UnsupportedError{What: "a mount behind a file system that may never answer"}
}

// reopen opens the file of a descriptor that [lookAt] returned.
func reopen(look int) (int, error) {
	dir, err := unix.Open("/proc/self/fd", lookFlags|unix.O_DIRECTORY, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(dir)
	var system unix.Statfs_t
	if err := unix.Fstatfs(dir, &system); err != nil {
		return -1, err
	}
	if uint64(system.Type) != unix.PROC_SUPER_MAGIC {
		return -1, errors.New("/proc is no procfs")
	}
	return unix.Openat(dir, fmt.Sprint(look), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
}
