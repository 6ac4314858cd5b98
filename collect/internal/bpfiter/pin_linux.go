package bpfiter

import (
	"encoding/binary"
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
// replaces older pins. A reader sees the old or the new ones, never none. It
// takes the privileges of [Load], and the right to write to dir. Others must not
// have that right: the error is an *[UnsafeDirError].
func Pin(dir string, o PinOptions) error {
	d, err := prepareDir(dir, &o)
	if err != nil {
		return err
	}
	p, err := load(loading{})
	if err != nil {
		return errors.Join(err, d.close())
	}
	err = p.addTaskFile()
	if err != nil {
		err = explain(err)
	} else {
		err = p.pin(d, &o)
	}
	return errors.Join(err, p.close(), d.close())
}

// pin pins the links, each under a name of its own, and then gives them their
// names. Older pins go.
func (p *programs) pin(d *pinDir, o *PinOptions) (err error) {
	links := map[programKind]bpf.Iter{taskFile: p.taskFileLink, hashWalk: p.hashWalkLink, fdWalk: p.fdWalkLink}
	var waiting []string
	defer func() {
		for _, name := range waiting {
			err = errors.Join(err, d.remove(fresh(name)))
		}
	}()
	names := make(map[string]bool)
	for _, program := range pinPrograms() {
		if links[program] < 0 {
			continue
		}
		name := pinName(program)
		if err := pinFresh(links[program], d, name, o); err != nil {
			return explainPin(fmt.Errorf("pin %s: %w", filepath.Join(d.path, name), err))
		}
		names[name], waiting = true, append(waiting, name)
	}
	for len(waiting) > 0 {
		name := waiting[0]
		if err := unix.Renameat(d.last().fd, fresh(name), d.last().fd, name); err != nil {
			return explainPin(fmt.Errorf("pin %s: %w", filepath.Join(d.path, name), err))
		}
		waiting = waiting[1:]
	}
	_, err = d.removePins(func(name string) bool { return !names[name] })
	return err
}

// fresh is the name under which this process makes a pin.
func fresh(name string) string { return name + leftover + strconv.Itoa(os.Getpid()) }

// pinFresh pins under a name of its own, and sets group and mode by descriptor.
// The kernel makes the file readable by its owner at most.
func pinFresh(link bpf.Iter, d *pinDir, name string, o *PinOptions) (err error) {
	if err := link.PinAt(d.last().fd, fresh(name)); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.remove(fresh(name)))
		}
	}()
	fd, err := d.openFile(fresh(name))
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if o.GID != nil {
		if err := unix.Fchown(fd, -1, *o.GID); err != nil {
			return fmt.Errorf("give it to group %d: %w", *o.GID, err)
		}
	}
	if err := unix.Fchmod(fd, uint32(o.mode())); err != nil {
		return fmt.Errorf("set its mode: %w", err)
	}
	return nil
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
func prepareDir(dir string, o *PinOptions) (*pinDir, error) {
	if o.mode()&0o022 != 0 {
		return nil, fmt.Errorf("pin: mode %04o: nobody but the owner may write to a pin", uint32(o.mode()))
	}
	if err := ensureBPFFS(dir, o); err != nil {
		return nil, explainPin(fmt.Errorf("pin: %w", err))
	}
	d, err := walkTo(dir, true)
	if err != nil {
		return nil, explainPin(fmt.Errorf("pin: %w", err))
	}
	err = d.check()
	if err == nil {
		err = d.last().permit(0o755)
	}
	if err == nil && o.Traverse && o.mode()&0o077 != 0 {
		err = d.openWay()
	}
	if err != nil {
		return nil, errors.Join(explainPin(fmt.Errorf("pin: %w", err)), d.close())
	}
	return d, nil
}

// permit gives the directory this mode.
func (s *step) permit(mode uint32) error {
	if s.stat.Mode&0o7777 == mode {
		return nil
	}
	fd, err := unix.Openat(s.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == nil {
		err = errors.Join(unix.Fchmod(fd, mode), unix.Close(fd))
	}
	if err != nil {
		return &fs.PathError{Op: "chmod", Path: s.path, Err: err}
	}
	s.stat.Mode = s.stat.Mode&^0o7777 | mode
	return nil
}

// openWay adds search permission to the directories of the bpffs above.
func (d *pinDir) openWay() error {
	for i := range d.way {
		if s := &d.way[i]; s.isBlocked() {
			if err := s.permit(s.stat.Mode&0o7777 | 0o111); err != nil {
				return err
			}
		}
	}
	return nil
}

// isBlocked reports whether it is a directory of a bpffs without search permission
// for others than its owner.
func (s *step) isBlocked() bool { return s.stat.Mode&0o011 != 0o011 && s.onBPFFS() }

// ensureBPFFS makes sure of a bpffs under dir, or under its future place.
func ensureBPFFS(dir string, o *PinOptions) error {
	on, err := willBeOnBPFFS(dir)
	if on || err != nil {
		return err
	}
	if !o.MountBPFFS {
		return whose.WithHint(fmt.Errorf("%s: %w", dir, errNotBPFFS),
			"mount one with `mount -t bpf -o mode=755 bpf %s`, or let `whose pin --mount` do it", BPFFS)
	}
	at := filepath.Clean(dir)
	if strings.HasPrefix(at+"/", BPFFS+"/") {
		at = BPFFS
	}
	d, err := walkTo(at, true)
	if err != nil {
		return err
	}
	err = d.mount()
	if err != nil {
		err = fmt.Errorf("mount bpffs on %s: %w", at, err)
	}
	return errors.Join(err, d.close())
}

// willBeOnBPFFS reports whether dir or, if it is missing, the nearest directory
// above it is on a bpffs.
func willBeOnBPFFS(dir string) (bool, error) {
	for at := filepath.Clean(dir); ; at = filepath.Dir(at) {
		d, err := walkTo(at, false)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return false, err
		}
		return d.last().onBPFFS(), d.close()
	}
}

// mount mounts a bpffs on the directory.
func (d *pinDir) mount() error {
	config, err := unix.Fsopen("bpf", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(config)
	if err := unix.FsconfigSetString(config, "mode", "755"); err != nil {
		return err
	}
	if err := unix.FsconfigCreate(config); err != nil {
		return err
	}
	const flags = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC | unix.MOUNT_ATTR_RELATIME
	mount, err := unix.Fsmount(config, unix.FSMOUNT_CLOEXEC, flags)
	if err != nil {
		return err
	}
	defer unix.Close(mount)
	return unix.MoveMount(mount, "", d.last().fd, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
}

// Unpin removes the pins of [Pin] of any version from dir, and dir itself if
// nothing else is in it. A directory without pins is no error. Another file
// stays, whatever its name, and is one.
func Unpin(dir string) error {
	d, err := openPinDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return explainUnpin(err)
	}
	stays, err := d.removePins(func(string) bool { return true })
	if err == nil {
		err = d.removeItself()
	}
	return errors.Join(explainUnpin(errors.Join(stays, err)), d.close())
}

// removeItself removes the directory, if it is empty and no mount point.
func (d *pinDir) removeItself() error {
	if len(d.way) < 2 {
		return nil
	}
	above := d.way[len(d.way)-2]
	err := unix.Unlinkat(above.fd, filepath.Base(d.path), unix.AT_REMOVEDIR)
	if err == unix.ENOENT || err == unix.ENOTEMPTY || err == unix.EBUSY {
		return nil
	}
	if err != nil {
		return &fs.PathError{Op: "remove", Path: d.path, Err: err}
	}
	return nil
}

// removePins removes the chosen pins, and those left by an interrupted Pin under
// a name of its own. It reports other files, which stay; a reader does not
// take that for a pin either.
func (d *pinDir) removePins(chosen func(name string) bool) (stays, err error) {
	names, err := d.names()
	if err != nil {
		return nil, err
	}
	var errs, others []error
	for _, name := range names {
		pin, _, left := strings.Cut(name, leftover)
		if versionOf(pin) == 0 || !left && !chosen(name) {
			continue
		}
		if err := d.checkOurs(name); err != nil {
			others = append(others, fmt.Errorf("%s stays: %w", filepath.Join(d.path, name), err))
			continue
		}
		errs = append(errs, d.remove(name))
	}
	return errors.Join(others...), errors.Join(errs...)
}

// errNotOurs: the file is of another kind than the pins.
var errNotOurs = errors.New("not an iterator of whose")

// checkOurs reports whether a file is an iterator of ours, of whatever version.
// All of them begin their records alike.
func (d *pinDir) checkOurs(name string) error {
	fd, err := d.openFile(name)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	b, err := firstRecord(fd)
	if err == nil && len(b) >= 4 && binary.NativeEndian.Uint32(b)>>16 == recordMagic {
		return nil
	}
	return errNotOurs
}

func (d *pinDir) remove(name string) error {
	if err := unix.Unlinkat(d.last().fd, name, 0); err != nil {
		return &fs.PathError{Op: "remove", Path: filepath.Join(d.path, name), Err: err}
	}
	return nil
}

func explainUnpin(err error) error {
	if err == nil {
		return nil
	}
	return explainPin(fmt.Errorf("unpin: %w", err))
}
