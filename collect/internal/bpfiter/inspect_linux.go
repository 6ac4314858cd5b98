package bpfiter

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// Inspect describes the pins in dir, and tries them. A directory without pins
// is not an error but a status without pins.
func Inspect(dir string) (Status, error) {
	st := Status{Dir: dir, Version: recordVersion, BPFFS: onBPFFS(existing(dir))}
	d, err := openPinDir(dir)
	var unsafe *UnsafeDirError
	if errors.As(err, &unsafe) {
		st.Unsafe = err
	}
	if d != nil {
		st.Blocked = d.blocked()
		defer d.close()
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		st.Works = err
		return st, nil
	}
	if err != nil {
		return st, err
	}
	for _, e := range entries {
		if v := versionOf(e.Name()); v != 0 && !strings.Contains(e.Name(), leftover) {
			st.Pins = append(st.Pins, inspectPin(filepath.Join(dir, e.Name()), v))
		}
	}
	st.Works = tryPinned(dir)
	return st, nil
}

// blocked returns the directories that others cannot pass, from the last one up.
func (d *pinDir) blocked() []string {
	var blocked []string
	for _, s := range slices.Backward(d.way) {
		if s.isBlocked() {
			blocked = append(blocked, s.path)
		}
	}
	return blocked
}

// existing returns dir or the nearest existing directory above it.
func existing(dir string) string {
	for {
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

func onBPFFS(path string) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && uint32(st.Type) == unix.BPF_FS_MAGIC
}

func inspectPin(path string, version int) PinStatus {
	p := PinStatus{Path: path, Version: version}
	info, err := os.Lstat(path)
	if err != nil {
		return p
	}
	p.Mode = info.Mode().Perm()
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		p.UID, p.GID = sys.Uid, sys.Gid
	}
	p.Readable = unix.Faccessat(unix.AT_FDCWD, path, unix.R_OK, unix.AT_EACCESS) == nil
	return p
}

// tryPinned reads the listeners through the pins.
func tryPinned(dir string) error {
	s, err := OpenPinned(dir, Options{})
	if err != nil {
		return err
	}
	listeners := source.Everything()
	listeners.States = whose.SetOf(whose.Listen)
	var snap source.Snapshot
	err = s.Read(context.Background(), &listeners, &snap)
	return errors.Join(err, s.Close())
}
