package proc

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
)

// confirm learns what the root is, and returns the reason not to read it.
func (f *FS) confirm(captured bool) error {
	privileged := mayReadOthers()
	switch {
	case f.live:
		f.wary = privileged
		f.guarded = f.guards()
		return f.confirmLive()
	case f.root == "/proc":
		return whose.WithHint(f.notProcfs("something else is mounted there"), "mount it: mount -t proc proc /proc")
	case privileged && !captured:
		return whose.WithHint(f.notProcfs("with privilege nothing else is read"),
			"a captured tree is read by an ordinary user")
	case !f.showsProcess():
		return f.notProcfs("it shows no process")
	}
	return nil
}

// guards reports whether the kernel can keep us within the root: since Linux
// 5.6, unless a filter of system calls stands in between.
func (f *FS) guards() bool {
	var name cname
	fd, errno := openat2(f.dir, name.set(".", -1, ""), openPath)
	if errno != 0 {
		return false
	}
	closeFD(fd)
	return true
}

// confirmLive wants to see our own process. Where it is missing, others are too.
func (f *FS) confirmLive() error {
	var link [16]byte
	var name cname
	n, errno := readlinkat(f.dir, name.set("self", -1, ""), link[:])
	if _, ok := parsePID(link[:max(n, 0)]); errno != 0 || !ok {
		return f.showsNotUs()
	}
	f.self = string(link[:n])
	b, err := f.readFile(f.ofSelf("status"), maxStatus)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ESRCH), errors.Is(err, unix.EXDEV):
		return f.showsNotUs()
	case err != nil:
		return fmt.Errorf("open procfs: %w", err)
	}
	s, err := parseStatus(b)
	if err != nil || pidDir(s.PID) != f.self {
		return f.showsNotUs()
	}
	// Seen from our own pid namespace, we have no number in one further down.
	f.own = s.PID == uint32(unix.Getpid()) && s.PIDDepth <= 1
	return nil
}

func (f *FS) showsNotUs() error {
	return whose.WithHint(fmt.Errorf("open procfs: %s does not show this process: %w", f.root, ErrNotProcfs),
		"it is of another pid namespace, or something is mounted over it: ask in the pid namespace that it shows")
}

func (f *FS) notProcfs(why string) error {
	return fmt.Errorf("open procfs: %s is %w: %s", f.root, ErrNotProcfs, why)
}

// showsProcess reports whether a tree shows any process.
func (f *FS) showsProcess() bool {
	fd, err := unix.Openat(f.dir, ".", openDir, 0)
	if err != nil {
		return false
	}
	defer closeFD(fd)
	found := false
	_ = entries(fd, make([]byte, 4096), func(name []byte) bool { // a broken list shows none
		_, found = parsePID(name)
		return !found
	})
	return found
}

// Release returns the release of the root's kernel, "6.12.1-amd64", "" if it is
// unknown.
func (f *FS) Release() string {
	if f.live {
		var name unix.Utsname
		if unix.Uname(&name) != nil {
			return ""
		}
		return unix.ByteSliceToString(name.Release[:])
	}
	b, err := f.readFile("sys/kernel/osrelease", maxSetting)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// maxSetting bounds a file below sys.
const maxSetting = 4096

// readSetting reads a file below sys of any root. With privilege it has to be of
// a procfs. It does not wait for a pipe.
func readSetting(path string) ([]byte, error) {
	fd, err := unix.Open(path, openFile, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer closeFD(fd)
	if mayReadOthers() && !isProcfs(fd) {
		return nil, fmt.Errorf("%s is of %w", path, ErrNotProcfs)
	}
	b, errno := readAll(fd, maxSetting)
	if errno != 0 {
		return nil, &fs.PathError{Op: "read", Path: path, Err: errno}
	}
	return b, nil
}
