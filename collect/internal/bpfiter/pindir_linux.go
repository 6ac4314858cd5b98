package bpfiter

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
)

// A directory of pins is worked in by descriptor and never by path. The way to it
// goes from the root of the file system, step by step and through no symbolic
// link, and every directory on it belongs to root or to the caller. Others may
// not write to the directory itself. Above it they may where the directory is
// sticky: they can then neither rename nor remove an entry that is root's or the
// caller's, and a step finds their own entries out.

// An UnsafeDirError reports a directory in which others could exchange pins, or
// one above it in which they could exchange the directory.
type UnsafeDirError struct {
	// Dir is the directory at fault.
	Dir string
	// Fault is what is wrong with it.
	Fault string
}

// Error names the directory and its fault.
func (e *UnsafeDirError) Error() string {
	return fmt.Sprintf("directory %s is not safe: %s", e.Dir, e.Fault)
}

// A pinDir is a directory of pins, and the way to it. It is open while it is
// worked in and no longer, because it keeps the bpffs from being unmounted.
// Whoever opened it closes it. A nil pinDir is none, and stays so.
type pinDir struct {
	path string
	// way are the directories from / on, none where it is closed. The last one is
	// the directory itself.
	way []step
}

// A step is a directory on the way to the pins.
type step struct {
	fd   int // O_PATH
	path string
	stat unix.Stat_t
}

// openPinDir goes the way to the directory and checks each step. The error is
// fs.ErrNotExist if there is no such directory, and an [UnsafeDirError] if others
// could put something in its place.
func openPinDir(dir string) (*pinDir, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	d := &pinDir{path: dir}
	if err := d.open(); err != nil {
		return nil, err
	}
	return d, nil
}

// open is openPinDir.
func (d *pinDir) open() error {
	if d == nil {
		return nil
	}
	err := d.walk(false)
	if err == nil {
		err = d.check()
	}
	if err != nil {
		return errors.Join(err, d.close())
	}
	return nil
}

// check reports whether the directory itself may have pins in it.
func (d *pinDir) check() error {
	last := d.last()
	if others := last.stat.Mode & 0o022; others != 0 {
		return unsafeDir(last.path, fmt.Sprintf("others may write to it (mode %04o)", last.stat.Mode&0o7777),
			"chmod go-w %s, or mount the bpffs with mode=755", last.path)
	}
	if !last.onBPFFS() {
		return fmt.Errorf("%s: %w", d.path, errNotBPFFS)
	}
	return nil
}

// walkTo goes the way to dir, and makes what is missing if it may.
func walkTo(dir string, make bool) (*pinDir, error) {
	d := &pinDir{path: filepath.Clean(dir)}
	if err := d.walk(make); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

func (d *pinDir) walk(make bool) error {
	if !filepath.IsAbs(d.path) {
		return fmt.Errorf("%q is not an absolute path", d.path)
	}
	fd, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open /: %w", err)
	}
	if err := d.append(fd, "/"); err != nil {
		return err
	}
	for name := range strings.SplitSeq(strings.Trim(d.path, "/"), "/") {
		if name == "" { // the root itself
			continue
		}
		from := d.last()
		if err := from.mayLead(); err != nil {
			return err
		}
		path := filepath.Join(from.path, name)
		fd, err := openStep(from.fd, name, make)
		if err != nil {
			return explainStep(path, err)
		}
		if err := d.append(fd, path); err != nil {
			return err
		}
	}
	return nil
}

// append adds a step that root or the caller owns.
func (d *pinDir) append(fd int, path string) error {
	s := step{fd: fd, path: path}
	err := unix.Fstat(fd, &s.stat)
	d.way = append(d.way, s)
	if err != nil {
		return fmt.Errorf("stat %s: %w", path, err)
	}
	if !isTrusted(s.stat.Uid) {
		return unsafeDir(path, fmt.Sprintf("it belongs to user %d", s.stat.Uid),
			"let root remove it and run `whose pin`, or name a directory of root's with --pin-dir")
	}
	return nil
}

// isTrusted reports whether the user is root or the caller.
func isTrusted(uid uint32) bool { return uid == 0 || int(uid) == os.Geteuid() }

// mayLead reports whether nobody else can exchange the next step.
func (s *step) mayLead() error {
	if s.stat.Mode&0o022 == 0 || s.stat.Mode&unix.S_ISVTX != 0 {
		return nil
	}
	return unsafeDir(s.path, fmt.Sprintf("others may write to it (mode %04o)", s.stat.Mode&0o7777),
		"chmod go-w %s, or name another directory with --pin-dir", s.path)
}

func unsafeDir(dir, fault, hint string, args ...any) error {
	return whose.WithHint(&UnsafeDirError{Dir: dir, Fault: fault}, hint, args...)
}

const openStepFlags = unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC

// openStep opens a directory, and makes it if it is missing. Who made it shows its
// owner.
func openStep(from int, name string, make bool) (int, error) {
	fd, err := unix.Openat(from, name, openStepFlags, 0)
	if err != unix.ENOENT || !make {
		return fd, notLink(from, name, err)
	}
	if err := unix.Mkdirat(from, name, 0o755); err != nil && err != unix.EEXIST {
		return -1, fmt.Errorf("make it: %w", err)
	}
	fd, err = unix.Openat(from, name, openStepFlags, 0)
	return fd, notLink(from, name, err)
}

// notLink makes of the error of a symbolic link ELOOP.
func notLink(from int, name string, err error) error {
	var st unix.Stat_t
	if err == unix.ENOTDIR && unix.Fstatat(from, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return unix.ELOOP
	}
	if err == nil {
		return nil
	}
	return err
}

func explainStep(path string, err error) error {
	if err == unix.ELOOP {
		return unsafeDir(path, "it is a symbolic link", "name the directory itself with --pin-dir")
	}
	return &fs.PathError{Op: "open directory", Path: path, Err: err}
}

func (d *pinDir) last() *step { return &d.way[len(d.way)-1] }

func (d *pinDir) close() error {
	if d == nil {
		return nil
	}
	var errs []error
	for _, s := range d.way {
		errs = append(errs, unix.Close(s.fd))
	}
	d.way = d.way[:0]
	return errors.Join(errs...)
}

// names returns the names of the files in the directory.
func (d *pinDir) names() ([]string, error) {
	fd, err := unix.Openat(d.last().fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: d.path, Err: err}
	}
	f := os.NewFile(uintptr(fd), d.path)
	defer f.Close()
	return f.Readdirnames(-1)
}

// openFile opens a file of the directory for reading, after a check: it has to be
// on a bpffs, and nobody but root and the caller may have put it there. It does
// not wait: an apparent pin may be a FIFO.
func (d *pinDir) openFile(name string) (int, error) {
	file, err := unix.BytePtrFromString(name)
	if err != nil {
		return -1, fmt.Errorf("open %q in %s: %w", name, d.path, err)
	}
	return d.openNamed(file)
}

// openNamed is openFile for a name that ends in NUL. It allocates nothing.
func (d *pinDir) openNamed(file *byte) (int, error) {
	if len(d.way) == 0 {
		return -1, fmt.Errorf("open %s: %w", d.pathOf(file), fs.ErrClosed)
	}
	const flags = unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_LARGEFILE
	fd, _, errno := unix.Syscall6(unix.SYS_OPENAT, uintptr(d.last().fd), uintptr(unsafe.Pointer(file)), flags, 0, 0, 0)
	if errno != 0 {
		return -1, fmt.Errorf("open %s: %w", d.pathOf(file), errno)
	}
	if err := checkPinned(int(fd)); err != nil {
		unix.Close(int(fd))
		return -1, fmt.Errorf("open %s: %w", d.pathOf(file), err)
	}
	return int(fd), nil
}

func (d *pinDir) pathOf(file *byte) string { return filepath.Join(d.path, unix.BytePtrToString(file)) }

var (
	errNotBPFFS = errors.New("not on a bpffs")
	errOwner    = errors.New("owned by neither root nor the caller")
	errWritable = errors.New("others may write to it")
	errNoFile   = errors.New("not a plain file")
)

func checkPinned(fd int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	switch {
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return unix.EISDIR
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return errNoFile
	case !isTrusted(st.Uid):
		return errOwner
	case st.Mode&0o022 != 0:
		return errWritable
	}
	return isBPFFS(fd)
}

func (s *step) onBPFFS() bool { return isBPFFS(s.fd) == nil }

// isBPFFS returns nil for a file on a bpffs, errNotBPFFS for others.
func isBPFFS(fd int) error {
	var st unix.Statfs_t
	if err := unix.Fstatfs(fd, &st); err != nil {
		return fmt.Errorf("statfs: %w", err)
	}
	if uint32(st.Type) != unix.BPF_FS_MAGIC {
		return errNotBPFFS
	}
	return nil
}
