package store

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/seed-44df2ae6/whose"
)

// ErrLocked is the error of [Create] where another writer has the directory.
var ErrLocked = errors.New("another agent writes here")

// lockName is the file whose lock the writer holds.
const lockName = "lock"

// The modes of the directory and its files. The administrator's group may read.
const (
	dirMode  = fs.FileMode(0o750)
	fileMode = fs.FileMode(0o640)
)

// A dir is the directory of a history.
type dir struct{ path string }

// list returns the files, in the order of their numbers.
func (d dir) list() ([]fileName, error) {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return nil, err
	}
	var names []fileName
	for _, e := range entries {
		if n, ok := parseFileName(e.Name()); ok && e.Type().IsRegular() {
			names = append(names, n)
		}
	}
	slices.SortFunc(names, func(a, b fileName) int { return cmp.Compare(a.number, b.number) })
	return names, nil
}

func (d dir) join(n fileName) string { return filepath.Join(d.path, n.String()) }

// The files that SQLite keeps beside one of its own.
var besides = [...]string{"-wal", "-shm", "-journal"}

// size returns the bytes of a file of sessions.
func (d dir) size(n fileName) int64 { return sizeOf(d.join(n)) }

// sizeOf returns the bytes of a file of SQLite and of those beside it, 0 for none.
func sizeOf(path string) int64 {
	sum := int64(0)
	for _, suffix := range append([]string{""}, besides[:]...) {
		if info, err := os.Lstat(path + suffix); err == nil {
			sum += info.Size()
		}
	}
	return sum
}

// remove removes a file of sessions.
func (d dir) remove(n fileName) error { return removeFile(d.join(n)) }

// removeFile removes a file of SQLite, and those beside it.
func removeFile(path string) error {
	err := os.Remove(path)
	for _, suffix := range besides {
		if e := os.Remove(path + suffix); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// setAside renames a broken file, so that nothing reads or writes it any more.
func (d dir) setAside(n fileName) error {
	var errs []error
	for _, suffix := range append([]string{""}, besides[:]...) {
		from := d.join(n) + suffix
		if err := os.Rename(from, from+badSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// bytes returns the bytes of all files, those set aside included.
func (d dir) bytes() int64 {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return 0
	}
	sum := int64(0)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			sum += info.Size()
		}
	}
	return sum
}

// openError is the error of a directory that cannot be opened, with advice.
func openError(path string, err error) error {
	err = fmt.Errorf("open history %s: %w", path, bare(err))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return whose.WithHint(err, "an agent writes it: whose agent --history %s", path)
	case errors.Is(err, fs.ErrPermission):
		return whose.WithHint(err, "root may read it, and the group of the directory")
	}
	return err
}

// bare is the cause of an error about a path, which its user names.
func bare(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
