//go:build unix

package folder

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// Check refuses a folder in which others could exchange the files, or one above it in
// which they could exchange the folder, by an [UnsafeError]. It follows no link. A
// relative path is refused.
func Check(path string) error {
	path = filepath.Clean(path)
	if !filepath.IsAbs(path) {
		return errors.New("want an absolute path")
	}
	all := steps(path)
	for i, step := range all {
		info, err := os.Lstat(step)
		if err != nil {
			return err
		}
		owner := uint32(0)
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			owner = st.Uid
		}
		if f := fault(info, owner, uint32(os.Geteuid()), i == len(all)-1); f != "" {
			return &UnsafeError{step, f}
		}
	}
	return nil
}

// Make makes a folder where it is missing, and checks it as [Check] does. The folder
// above it must be there.
func Make(path string, mode fs.FileMode) error {
	if !filepath.IsAbs(path) {
		return errors.New("want an absolute path")
	}
	if err := os.Mkdir(filepath.Clean(path), mode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return Check(path)
}

// Lock takes the lock of a file, which it makes where it is missing, until the file is
// closed. The error is [ErrLocked] where another process has it.
func Lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrLocked
		}
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
