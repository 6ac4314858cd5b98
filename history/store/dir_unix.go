//go:build unix

package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// createDir makes the directory of a history, gives it to a group (gid, -1 for
// none), and returns it with the lock of its writer.
func createDir(path string, gid int) (dir, *os.File, error) {
	d := dir{filepath.Clean(path)}
	if !filepath.IsAbs(d.path) {
		return d, nil, errors.New("want an absolute path")
	}
	if err := os.Mkdir(d.path, dirMode); err != nil && !errors.Is(err, os.ErrExist) {
		return d, nil, err
	}
	if err := d.check(); err != nil {
		return d, nil, err
	}
	lock, err := os.OpenFile(filepath.Join(d.path, lockName), os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return d, nil, err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrLocked
		}
		return d, nil, errors.Join(err, lock.Close())
	}
	if gid >= 0 {
		err = os.Chown(d.path, -1, gid)
	}
	if err == nil {
		err = os.Chmod(d.path, dirMode)
	}
	if err != nil {
		return d, nil, errors.Join(err, lock.Close())
	}
	return d, lock, nil
}

// check refuses a directory in which others could exchange the files, or one
// above it in which they could exchange the directory.
func (d dir) check() error {
	all := steps(d.path)
	for i, step := range all {
		info, err := os.Lstat(step)
		if err != nil {
			return err
		}
		owner := uint32(0)
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			owner = st.Uid
		}
		if fault := unsafe(info, owner, uint32(os.Geteuid()), i == len(all)-1); fault != "" {
			return fmt.Errorf("directory %s is not safe: %s", step, fault)
		}
	}
	return nil
}

// createFile makes an empty file of the history, of the directory's group.
func (d dir) createFile(n fileName) error {
	info, err := os.Stat(d.path)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(d.join(n), os.O_CREATE|os.O_EXCL|os.O_RDWR|unix.O_NOFOLLOW, fileMode)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Chmod(fileMode); err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Gid) != os.Getegid() {
		return f.Chown(-1, int(st.Gid))
	}
	return nil
}

// space returns the bytes of the file system, 0 if unknown.
func (d dir) space() int64 {
	var st unix.Statfs_t
	if err := unix.Statfs(d.path, &st); err != nil {
		return 0
	}
	return int64(st.Blocks) * int64(st.Bsize)
}
