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
	"github.com/seed-44df2ae6/whose/internal/bpf"
)

// BPFFS is the conventional mount point of bpffs.
const BPFFS = "/sys/fs/bpf"

// leftover stands in the names under which Pin makes its files before it
// renames them. A killed Pin leaves one.
const leftover = "_by_"

func (o *PinOptions) mode() fs.FileMode {
	switch {
	case o.Mode != 0:
		return o.Mode.Perm()
	case o.GID != nil:
		return 0o440
	}
	return 0o400
}

// Pin loads the iterators, pins them in dir, which has to be on a bpffs, and
// replaces older pins. A reader sees the old or the new one, never none. It
// takes the privileges of [Load], and the right to write to dir.
func Pin(dir string, o PinOptions) error {
	if err := prepareDir(dir, &o); err != nil {
		return err
	}
	p, err := load(loading{})
	if err != nil {
		return err
	}
	if err := p.addTaskFile(); err != nil {
		return errors.Join(explain(err), p.close())
	}
	err = p.pin(dir, &o)
	return errors.Join(err, p.close(), removePins(dir, func(v int) bool { return v != recordVersion }))
}

// pin pins the links under their names.
func (p *programs) pin(dir string, o *PinOptions) error {
	for program, link := range map[programKind]bpf.Iter{taskFile: p.taskFileLink, hashWalk: p.hashWalkLink, fdWalk: p.fdWalkLink} {
		if link < 0 {
			continue
		}
		if err := replacePin(link, filepath.Join(dir, pinName(program)), o); err != nil {
			return err
		}
	}
	return nil
}

// replacePin pins under a name of its own, sets owner and mode, and then
// renames. At no time is there a file with the wrong mode or none.
func replacePin(link bpf.Iter, path string, o *PinOptions) (err error) {
	fresh := path + leftover + strconv.Itoa(os.Getpid())
	if err := link.Pin(fresh); err != nil {
		return explainPin(err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(fresh))
		}
	}()
	if o.GID != nil {
		if err := os.Chown(fresh, -1, *o.GID); err != nil {
			return err
		}
	}
	if err := os.Chmod(fresh, o.mode()); err != nil {
		return err
	}
	return os.Rename(fresh, path)
}

func explainPin(err error) error {
	switch {
	case errors.Is(err, unix.EROFS):
		return whose.WithHint(err, "mount the bpffs with write permission")
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return whose.WithHint(err, "the bpffs is full: remove what is not needed there")
	case errors.Is(err, fs.ErrPermission):
		return whose.WithHint(err, "run as root")
	}
	return err
}

// prepareDir makes dir, on a bpffs, with search permission for all.
func prepareDir(dir string, o *PinOptions) error {
	if err := ensureBPFFS(dir, o); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return explainPin(fmt.Errorf("pin: %w", err))
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return explainPin(fmt.Errorf("pin: %w", err))
	}
	if o.Traverse && o.mode()&0o077 != 0 {
		return openWay(dir)
	}
	return nil
}

// openWay adds search permission to the directories of the bpffs above dir.
func openWay(dir string) error {
	for _, d := range blockedBy(dir) {
		st, err := os.Stat(d)
		if err != nil {
			return fmt.Errorf("pin: %w", err)
		}
		if err := os.Chmod(d, st.Mode().Perm()|st.Mode()&fs.ModeSticky|0o111); err != nil {
			return fmt.Errorf("pin: %w", err)
		}
	}
	return nil
}

// blockedBy returns the directories of the bpffs, dir and above, without search
// permission for others than their owner.
func blockedBy(dir string) []string {
	var blocked []string
	for d := dir; isBPFFS(d) == nil; d = filepath.Dir(d) {
		if st, err := os.Stat(d); err == nil && st.Mode().Perm()&0o011 != 0o011 {
			blocked = append(blocked, d)
		}
		if d == filepath.Dir(d) {
			break
		}
	}
	return blocked
}

// ensureBPFFS makes sure of a bpffs under dir, or under its future place.
func ensureBPFFS(dir string, o *PinOptions) error {
	if !filepath.IsAbs(dir) {
		return fmt.Errorf("pin: %q is not an absolute path", dir)
	}
	err := isBPFFS(existing(dir))
	if !errors.Is(err, errNotBPFFS) {
		return err
	}
	if !o.MountBPFFS {
		return whose.WithHint(fmt.Errorf("pin: %s: %w", dir, errNotBPFFS),
			"mount one with `mount -t bpf bpf %s`, or let `whose pin --mount` do it", BPFFS)
	}
	at := dir
	if dir == BPFFS || strings.HasPrefix(dir, BPFFS+"/") {
		at = BPFFS
	} else if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("pin: %w", err)
	}
	const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_RELATIME
	if err := unix.Mount("bpf", at, "bpf", flags, "mode=755"); err != nil {
		return fmt.Errorf("mount bpffs on %s: %w", at, err)
	}
	return nil
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

// isBPFFS returns nil if path is on a bpffs, errNotBPFFS otherwise.
func isBPFFS(path string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return fmt.Errorf("statfs %s: %w", path, err)
	}
	if uint32(st.Type) != unix.BPF_FS_MAGIC {
		return errNotBPFFS
	}
	return nil
}

// Unpin removes the pins of [Pin] of any version from dir, and dir itself if
// nothing else is in it. A directory without pins is no error.
func Unpin(dir string) error {
	err := removePins(dir, func(int) bool { return true })
	if err != nil {
		return err
	}
	err = os.Remove(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EBUSY) {
		return nil
	}
	return explainUnpin(err)
}

// removePins removes the pins of the versions chosen, and those left by an
// interrupted Pin under a name of its own.
func removePins(dir string, chosen func(version int) bool) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return explainUnpin(err)
	}
	var errs []error
	for _, e := range entries {
		name, _, left := strings.Cut(e.Name(), leftover)
		v := versionOf(name)
		if v != 0 && (left || chosen(v)) {
			errs = append(errs, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return explainUnpin(errors.Join(errs...))
}

func explainUnpin(err error) error {
	if err == nil {
		return nil
	}
	return explainPin(fmt.Errorf("unpin: %w", err))
}
