package proc

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
)

// Process returns the wanted facts of the process with the id and start, in
// clock ticks as in [source.Task]: always its name, start and parent; its
// command line, executable, user, unit, container and pod if asked for.
//
// [ErrGone]: the process has exited or the number is another's now. Unreadable
// facts (the executable of another user's process) are empty. The command line
// is at most 4,096 bytes, its arguments parted by one space.
func (f *FS) Process(pid uint32, start uint64, needs whose.Needs) (whose.Process, error) {
	p := whose.Process{PID: pid}
	dir, err := unix.Openat(f.dir, pidDir(pid), openPath, 0)
	if err != nil {
		return p, f.processError(pid, "", err)
	}
	defer closeFD(dir)
	r := reader{fs: f, pid: pid, dir: dir}
	if err := r.stat(&p, start); err != nil {
		return p, err
	}
	if needs.Has(whose.NeedCmdline) {
		if b, err := r.read("cmdline", maxCmdline); err == nil {
			p.Cmdline = joinArgs(b)
		}
	}
	if needs.Has(whose.NeedExe) {
		p.Exe = r.exe()
	}
	if needs.Has(whose.NeedCreds) {
		if err := r.creds(&p); err != nil {
			return p, err
		}
	}
	if needs.Has(whose.NeedCgroup) {
		if b, err := r.read("cgroup", maxCgroup); err == nil {
			c := parseCgroups(b)
			p.Unit, p.Container, p.Pod = c.Unit, c.Container, c.Pod
		}
	}
	return p, nil
}

// MayLook returns nil if the descriptors of a process may be read, and
// otherwise the reason ([fs.ErrPermission], [fs.ErrNotExist]). It tests their
// guard: the right to trace the process, which its link "exe" needs too.
func (f *FS) MayLook(pid uint32) error {
	if _, err := os.Readlink(f.path(pidPath(pid, "exe"))); err != nil {
		return fmt.Errorf("look into process %d: %w", pid, err)
	}
	return nil
}

// Comm returns the name of a process's main thread.
func (f *FS) Comm(pid uint32) (string, error) {
	b, err := f.readFile(pidPath(pid, "comm"), 64)
	if err != nil {
		return "", f.processError(pid, "comm", err)
	}
	return string(trimNewline(b)), nil
}

// CgroupOf returns the unit, container and pod of a process by its control groups.
func (f *FS) CgroupOf(pid uint32) (Cgroup, error) {
	b, err := f.readFile(pidPath(pid, "cgroup"), maxCgroup)
	if err != nil {
		return Cgroup{}, f.processError(pid, "cgroup", err)
	}
	return parseCgroups(b), nil
}

// processError names the unreadable file; exit becomes [ErrGone].
func (f *FS) processError(pid uint32, file string, err error) error {
	path := f.path(pidDir(pid))
	if file != "" {
		path += "/" + file
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("read %s: %w", path, ErrGone)
	}
	return fmt.Errorf("read %s: %w", path, err)
}

// A reader reads the files of one process through a descriptor of its
// directory, which is of this very process and never of another with its number.
type reader struct {
	fs  *FS
	pid uint32
	dir int
}

func (r *reader) read(file string, limit int) ([]byte, error) {
	var name cname
	fd, errno := openat(r.dir, name.set(file, -1, ""), openFile)
	if errno != 0 {
		return nil, r.fs.processError(r.pid, file, errno)
	}
	defer closeFD(fd)
	b, errno := readAll(fd, limit)
	if errno != 0 {
		return nil, r.fs.processError(r.pid, file, errno)
	}
	return b, nil
}

// stat sets name, start and parent, and confirms the start.
func (r *reader) stat(p *whose.Process, start uint64) error {
	b, err := r.read("stat", maxStat)
	if err != nil {
		return err
	}
	s, err := parseStat(b)
	if err != nil {
		return wrapFile(r.fs.path(pidPath(r.pid, "stat")), err)
	}
	if s.Start != start {
		return fmt.Errorf("read %s: %w", r.fs.path(pidDir(r.pid)), ErrGone)
	}
	p.Comm, p.Parent = string(s.Comm), s.Parent
	p.StartTime = r.fs.StartTime(start)
	return nil
}

// exe returns the path of the executable, empty if it may not be read, is
// longer than a path can be, or is none (a kernel thread).
func (r *reader) exe() string {
	var name cname
	var buf [unix.PathMax]byte
	n, errno := readlinkat(r.dir, name.set("exe", -1, ""), buf[:])
	if errno != 0 {
		return ""
	}
	return string(buf[:n])
}

// creds sets the effective user.
func (r *reader) creds(p *whose.Process) error {
	b, err := r.read("status", maxStatus)
	if err != nil {
		return err
	}
	s, err := parseStatus(b)
	if err != nil {
		return wrapFile(r.fs.path(pidPath(r.pid, "status")), err)
	}
	p.UID, p.User = s.UID, r.fs.UserName(s.UID)
	return nil
}

// joinArgs makes one line of NUL-terminated arguments.
func joinArgs(b []byte) string {
	return string(bytes.ReplaceAll(bytes.TrimRight(b, "\x00"), []byte{0}, []byte{' '}))
}
