package proc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
)

// Process returns the wanted facts of the process with the id and start, in
// clock ticks as in [source.Task]: always its name, start and parent; its
// command line, executable, user, unit, container and pod if asked for.
//
// The names of its container, its image and its pod too ([whose.NeedContainerNames]).
//
// [ErrGone]: the process has exited or the number is another's now. Unreadable
// facts (the executable of another user's process) are empty. [ErrStuck]: some
// facts do not come, and the others are right. The command line is at most 4,096
// bytes, its arguments parted by one space.
func (f *FS) Process(pid uint32, start uint64, needs whose.Needs) (whose.Process, error) {
	process, err := whose.Process{PID: pid}, error(nil)
	f.each(context.Background(), []ProcessID{{pid, start}}, needs, func(_ int, d *description) {
		process, err = d.process, d.err
		if err == nil && d.stuck {
			err = fmt.Errorf("read %s: %w", f.path(pidDir(pid)), ErrStuck)
		}
	})
	return process, err
}

// Describe reads the wanted facts of processes as [FS.Process] does and calls
// got with the place and the facts of each process still there. It ends when
// ctx does. The gaps count the processes with facts that do not come, and the
// containers whose names may not be read.
func (f *FS) Describe(ctx context.Context, ids []ProcessID, needs whose.Needs, got func(i int, p *whose.Process)) whose.Gaps {
	stuck := 0
	nameless := f.each(ctx, ids, needs, func(i int, d *description) {
		if d.stuck {
			stuck++
		}
		if d.err == nil {
			got(i, &d.process)
		}
	})
	var gaps whose.Gaps
	if stuck > 0 {
		gaps.Add(StuckGap(stuck))
	}
	if nameless > 0 {
		gaps.Add(whose.Gap{Kind: whose.GapContainers, Cause: whose.CausePermission, Count: nameless})
	}
	return gaps
}

// A description has the facts of a process. stuck: some of them do not
// come.
type description struct {
	process whose.Process
	group   Cgroup
	err     error
	stuck   bool
}

// each describes processes, one after the other, and hands out what it learned
// until ctx ended. nameless counts the containers whose names may not be read.
func (f *FS) each(ctx context.Context, ids []ProcessID, needs whose.Needs, got func(i int, d *description)) (nameless int) {
	ids = slices.Clone(ids) // a call that was given up reads it later, when the caller's is used again
	shared := new(sharedReads)
	work := calls[description]{
		n:    len(ids),
		do:   func(i int, note func(description)) description { return f.describe(ids[i], needs, shared, note) },
		back: func(i int) { f.stuck.back(ids[i]) },
	}
	results := makeCalls(ctx, &f.crew, &work)
	if needs.Has(whose.NeedContainerNames) {
		nameless = f.nameContainers(ctx, results)
	}
	for i, r := range results {
		d := &r.value
		switch {
		case r.end == notMade && ctx.Err() != nil:
			continue
		case r.end == notMade: // too many others do not answer
			d.stuck, d.err = true, ErrStuck
		case r.end == givenUp:
			f.stuck.add(ids[i])
			d.stuck = true
			if d.process.PID == 0 {
				d.err = ErrStuck
			}
		}
		d.process.PID = ids[i].PID
		if d.err == nil {
			d.process.StartTime = f.StartTime(ids[i].Start)
			if needs.Has(whose.NeedCreds) {
				d.process.User = f.UserName(d.process.UID)
			}
		}
		got(i, d)
	}
	return nameless
}

// nameContainers names the containers of the described processes, each once, and
// counts those whose names may not be read.
func (f *FS) nameContainers(ctx context.Context, of []result[description]) (refused int) {
	groups := make([]Cgroup, len(of))
	for i := range of {
		groups[i] = of[i].value.group
	}
	names, refused := f.ContainerNames(ctx, groups)
	for i := range of {
		setNames(&of[i].value.process, names[i])
	}
	return refused
}

// describe reads the facts of a process, what may not return last. It may be
// given up at any moment.
func (f *FS) describe(id ProcessID, needs whose.Needs, shared *sharedReads, note func(description)) (d description) {
	if !f.live && f.stuck.has(id) {
		return description{err: ErrStuck, stuck: true}
	}
	var name cname
	dir, errno := f.openat(f.dir, name.set("", int64(id.PID), ""), openPath)
	if errno != 0 {
		return description{err: f.processError(id.PID, "", errno)}
	}
	defer closeFD(dir)
	r := reader{fs: f, pid: id.PID, dir: dir, shared: shared, room: shared.take()}
	defer func() { shared.giveBack(r.room) }() // a call that never returns keeps it
	if d.err = r.facts(&d, id.Start, needs); d.err != nil || !needs.Has(whose.NeedCmdline) {
		return d
	}
	if f.stuck.has(id) {
		d.stuck = true
		return d
	}
	note(d)
	if b, err := r.read("cmdline", maxCmdline); err == nil {
		d.process.Cmdline = joinArgs(b)
		if needs.Has(whose.NeedExe) {
			d.process.Script = Script(d.process.Exe, b)
		}
	}
	return d
}

// MayLook returns nil if the descriptors of a process may be read, and
// otherwise the reason ([fs.ErrPermission], [fs.ErrNotExist]). It tests their
// guard: the right to trace the process, which its link "exe" needs too.
func (f *FS) MayLook(pid uint32) error {
	var name cname
	var buf [1]byte
	if _, errno := readlinkat(f.dir, name.set("", int64(pid), "/exe"), buf[:]); errno != 0 {
		return fmt.Errorf("look into process %d: %w", pid, errno)
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
	return f.mark(parseCgroups(b), b), nil
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
	fs     *FS
	pid    uint32
	dir    int
	shared *sharedReads
	room   []byte
}

// read returns the content of a file, which the next read overwrites.
func (r *reader) read(file string, limit int) ([]byte, error) {
	var name cname
	fd, errno := r.fs.openat(r.dir, name.set(file, -1, ""), openFile)
	if errno != 0 {
		return nil, r.fs.processError(r.pid, file, errno)
	}
	defer closeFD(fd)
	b, errno := readInto(r.room[:0], fd, limit)
	r.room = b
	if errno != 0 {
		return nil, r.fs.processError(r.pid, file, errno)
	}
	return b, nil
}

// facts reads the facts that need nothing of the process itself: all but its
// command line.
func (r *reader) facts(d *description, start uint64, needs whose.Needs) error {
	p := &d.process
	creds := !needs.Has(whose.NeedCreds) || r.owner(p)
	if err := r.stat(p, start); err != nil { // so it was there when its directory had an owner
		return err
	}
	if needs.Has(whose.NeedExe) {
		p.Exe = r.exe()
	}
	if !creds {
		if err := r.creds(p); err != nil {
			return err
		}
	}
	if needs&(whose.NeedCgroup|whose.NeedContainerNames) != 0 {
		if b, err := r.read("cgroup", maxCgroup); err == nil {
			d.group = r.shared.group(b, r.fs)
			p.Unit, p.Container, p.Pod = d.group.Unit, d.group.Container, d.group.Pod
		}
	}
	return nil
}

// stat sets number, name and parent, and confirms the start.
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
	p.PID, p.Comm, p.Parent = r.pid, string(s.Comm), s.Parent
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

// owner sets the effective user's number by the owner of the directory, as its kernel
// shows it whatever the process keeps to itself: task_dump_owner of fs/proc/base.c.
// That of a process that has ended is 0. It reports whether it knows it. It takes a
// twentieth of the time of the file that says it too.
func (r *reader) owner(p *whose.Process) bool {
	var st unix.Stat_t
	if !r.fs.live || unix.Fstat(r.dir, &st) != nil || st.Mode != unix.S_IFDIR|0o555 {
		return false
	}
	p.UID = st.Uid
	return true
}

// creds sets the effective user's number.
func (r *reader) creds(p *whose.Process) error {
	b, err := r.read("status", maxStatus)
	if err != nil {
		return err
	}
	s, err := parseStatus(b)
	if err != nil {
		return wrapFile(r.fs.path(pidPath(r.pid, "status")), err)
	}
	p.UID = s.UID
	return nil
}

// joinArgs makes one line of NUL-terminated arguments.
func joinArgs(b []byte) string {
	return string(bytes.ReplaceAll(bytes.TrimRight(b, "\x00"), []byte{0}, []byte{' '}))
}

// Birth returns the start of a process, in clock ticks as in [source.Task], and its
// parent, 0 for none. [ErrGone]: there is no such process.
func (f *FS) Birth(pid uint32) (start uint64, parent uint32, err error) {
	b, err := f.readFile(pidPath(pid, "stat"), maxStat)
	if err != nil {
		return 0, 0, f.processError(pid, "stat", err)
	}
	s, err := parseStat(b)
	if err != nil {
		return 0, 0, wrapFile(f.path(pidPath(pid, "stat")), err)
	}
	return s.Start, s.Parent, nil
}
