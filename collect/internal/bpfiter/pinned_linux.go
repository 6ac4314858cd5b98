package bpfiter

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
)

// The names of the pinned files end in the version of their records, so a
// reader never opens a file it cannot read. bpffs allows no dots in names.
func pinName(program programKind) string {
	return program.String() + "_v" + strconv.Itoa(recordVersion)
}

// pinPrograms are the programs pinned together.
func pinPrograms() []programKind { return []programKind{taskFile, hashWalk, fdWalk} }

// pinsOfOld are programs pinned by earlier versions.
func pinsOfOld() []string { return []string{"fd_scan"} }

// A pinnedIter is an iterator that is a file in bpffs.
type pinnedIter string

// Open opens the file, after a check: it has to be an iterator pinned by the
// superuser or by the caller itself. Anybody may make directories and symbolic
// links in a bpffs mounted with its default mode. It does not wait: an apparent
// pin may be a FIFO.
func (p pinnedIter) Open() (int, error) {
	fd, err := unix.Open(string(p), unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("open %s: %w", string(p), err)
	}
	if err := checkPinned(fd); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("open %s: %w", string(p), err)
	}
	return fd, nil
}

var (
	errNotBPFFS = errors.New("not on a bpffs")
	errOwner    = errors.New("owned by neither root nor the caller")
)

func checkPinned(fd int) error {
	var fs unix.Statfs_t
	var st unix.Stat_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return err
	}
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	switch {
	case uint32(fs.Type) != unix.BPF_FS_MAGIC:
		return errNotBPFFS
	case st.Uid != 0 && int(st.Uid) != os.Geteuid():
		return errOwner
	}
	return nil
}

// OpenPinned returns a source that reads through the iterators pinned in dir.
// It takes no privilege but permission to read the files. The error is
// [fs.ErrNotExist] if nothing is pinned, [fs.ErrPermission] if the caller may
// not read it, and a *[VersionError] if another version pinned it.
func OpenPinned(dir string, o Options) (*Source, error) {
	s := newSource(o)
	s.taskFile = pinnedIter(filepath.Join(dir, pinName(taskFile)))
	s.hashWalk = pinnedIter(filepath.Join(dir, pinName(hashWalk)))
	if err := s.tryOpen(taskFile, s.taskFile); err != nil {
		return nil, explainPinned(dir, err)
	}
	err := s.tryOpen(hashWalk, s.hashWalk)
	if errors.Is(err, fs.ErrNotExist) { // pinned on a kernel without it
		s.hashWalk, err = nil, nil
	}
	if err != nil {
		return nil, explainPinned(dir, err)
	}
	fds := pinnedIter(filepath.Join(dir, pinName(fdWalk)))
	switch err := s.tryOpen(fdWalk, fds); {
	case err == nil:
		s.fdWalk = fds
	case !errors.Is(err, fs.ErrNotExist): // without it, it takes longer
		return nil, explainPinned(dir, err)
	}
	return s, nil
}

// tryOpen opens the iterator and reads which program it is.
func (s *Source) tryOpen(program programKind, it opener) error {
	fd, err := it.Open()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	b, err := firstRecord(fd)
	r := s.run(program, it, question{}, nil)
	if err == nil {
		_, err = r.behindHeader(b)
	}
	if errors.Is(err, errMixedSet) {
		return nil // it may be a matter of a moment; see Read
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", r.name(), err)
	}
	return nil
}

// explainPinned distinguishes a pin of another version from none.
func explainPinned(dir string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return whose.WithHint(err, "let root run `whose pin --group` with a group that you are in")
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if v := otherVersion(dir); v != 0 {
		return whose.WithHint(&VersionError{Dir: dir, Found: v}, "let root run `whose pin` again")
	}
	return err
}

// otherVersion returns the version of a pin unreadable to this program, 0 if
// there is none.
func otherVersion(dir string) int {
	entries, _ := os.ReadDir(dir) // an unreadable directory shows no version
	for _, e := range entries {
		if v := versionOf(e.Name()); v != 0 && v != recordVersion {
			return v
		}
	}
	return 0
}

// versionOf returns the version in the name of one of our pins, 0 for other names.
func versionOf(name string) int {
	programs := pinsOfOld()
	for _, p := range pinPrograms() {
		programs = append(programs, p.String())
	}
	for _, program := range programs {
		if rest, ok := strings.CutPrefix(name, program+"_v"); ok {
			v, err := strconv.Atoi(rest)
			if err == nil && v > 0 {
				return v
			}
		}
	}
	return 0
}

// A VersionError reports iterators in Dir pinned by a version of this program
// with other records.
type VersionError struct {
	Dir   string
	Found int
}

// Error names both versions.
func (e *VersionError) Error() string {
	return fmt.Sprintf("iterators pinned in %s are of version %d: want %d", e.Dir, e.Found, recordVersion)
}
