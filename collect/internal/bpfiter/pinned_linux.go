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

// A pinnedIter is an iterator that is a file in a directory of pins.
type pinnedIter struct {
	dir     *pinDir
	program programKind
	// file is the name of the file, as the kernel takes it.
	file *byte
}

func newPinnedIter(dir *pinDir, program programKind) pinnedIter {
	return pinnedIter{dir, program, &append([]byte(pinName(program)), 0)[0]}
}

// Open opens the file for one run.
func (p pinnedIter) Open() (int, error) { return p.dir.openNamed(p.file) }

func (p pinnedIter) path() string { return filepath.Join(p.dir.path, pinName(p.program)) }

// OpenPinned returns a source that reads through the iterators pinned in dir.
// It takes no privilege but permission to read the files. The error is
// [fs.ErrNotExist] if nothing is pinned, [fs.ErrPermission] if the caller may
// not read it, a *[VersionError] if another version pinned it, a *[ProgramError]
// or a *[RecordError] if a file is not what its name says, and an
// *[UnsafeDirError] if others could have exchanged it.
func OpenPinned(dir string, o Options) (*Source, error) {
	d, err := openPinDir(dir)
	if err != nil {
		return nil, explainPinned(dir, err)
	}
	s := newSource(o)
	s.pins = d
	if err := errors.Join(s.findPins(), d.close()); err != nil {
		return nil, explainPinned(dir, err)
	}
	return s, nil
}

// findPins finds the programs in the directory. Without hash_walk they were pinned
// on a kernel that cannot do it; without fd_walk it takes longer.
func (s *Source) findPins() error {
	for _, p := range []struct {
		program programKind
		it      *opener
		needed  bool
	}{{taskFile, &s.taskFile, true}, {hashWalk, &s.hashWalk, false}, {fdWalk, &s.fdWalk, false}} {
		it := newPinnedIter(s.pins, p.program)
		err := s.tryOpen(it)
		if errors.Is(err, fs.ErrNotExist) && !p.needed {
			continue
		}
		if err != nil {
			return err
		}
		*p.it = it
	}
	return nil
}

// tryOpen opens the iterator and reads which program it is.
func (s *Source) tryOpen(it pinnedIter) error {
	fd, err := it.Open()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	b, err := firstRecord(fd)
	r := s.run(it.program, it, question{}, nil)
	if err == nil {
		_, err = r.behindHeader(b)
	}
	if errors.Is(err, errMixedSet) {
		return nil // it may be a matter of a moment; see Read
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", it.path(), err)
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
