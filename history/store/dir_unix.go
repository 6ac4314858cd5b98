//go:build unix

package store

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose/internal/folder"
)

// createDir makes the directory of a history, gives it to a group (gid, -1 for
// none), and returns it with the lock of its writer.
func createDir(path string, gid int) (dir, *os.File, error) {
	d := dir{filepath.Clean(path)}
	if err := folder.Make(path, dirMode); err != nil {
		return d, nil, err
	}
	lock, err := folder.Lock(filepath.Join(d.path, lockName))
	if errors.Is(err, folder.ErrLocked) {
		return d, nil, ErrLocked
	}
	if err != nil {
		return d, nil, err
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

// createFile makes an empty file of the history, of the directory's group.
func (d dir) createFile(name string) error {
	info, err := os.Stat(d.path)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(d.path, name), os.O_CREATE|os.O_EXCL|os.O_RDWR|unix.O_NOFOLLOW, fileMode)
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
