package proc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
)

// An FS is an open procfs, or a tree of files like one. It is safe for
// concurrent use. Whoever opened it closes it.
type FS struct {
	root string
	dir  int // the root directory, O_PATH
	// live: it is a procfs of this kernel, whose directories can be read from
	// any place on. own: it also is of our pid namespace, so its process ids
	// mean the same to other system calls.
	live, own bool
	// guarded: the kernel keeps us within the file system of the root (openat2).
	// wary: we do it ourselves, since we may read what others may not.
	guarded, wary bool
	// self is the name of our own process in a live root.
	self  string
	users *users
	// crew makes the calls that may never return, stuck keeps what they were
	// about.
	crew crew
	// delegation knows the control groups whose names users choose.
	delegation delegation
	// containers are the names of containers, by the files of their runtimes.
	containers containerNames
	stuck      stuckProcesses

	mu      sync.Mutex
	workers []*worker // idle, with their buffers

	bootMu  sync.Mutex
	boot    time.Time // zero until it was read
	bootErr error     // of a read that did not return; it is not made again
}

// Open opens the procfs at root; "" means /proc.
//
// Another root may be a captured tree of plain files, but not for a caller with
// privilege: whoever made the tree could have any file read. In a procfs no
// symbolic link is followed, and nothing that is mounted over a part of it is
// read.
//
// [ErrNotProcfs]: the root is no procfs, or is of a pid namespace without this
// process.
func Open(root string) (*FS, error) { return openRoot(root, false) }

// OpenCaptured opens a captured tree of plain files, whoever asks. The caller
// answers for its links.
func OpenCaptured(root string) (*FS, error) { return openRoot(root, true) }

func openRoot(root string, captured bool) (*FS, error) {
	if root == "" {
		root = "/proc"
	}
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("open procfs: %w", err)
	}
	dir, err := unix.Open(root, openPath, 0)
	if err != nil {
		err = fmt.Errorf("open procfs: %w", &fs.PathError{Op: "open", Path: root, Err: err})
		return nil, whose.WithHint(err, "is procfs mounted at %s?", root)
	}
	f := &FS{root: root, dir: dir}
	var st unix.Statfs_t
	if err := unix.Fstatfs(dir, &st); err == nil {
		f.live = uint64(st.Type) == unix.PROC_SUPER_MAGIC
	}
	if err := f.confirm(captured); err != nil {
		closeFD(dir)
		return nil, err
	}
	f.users = newUsers(&f.crew, f.passwd()...)
	if d := newDirectory(); f.own && d != nil {
		f.users.ask = d.look
	}
	return f, nil
}

// Close gives the descriptor back. No walk may be under way.
func (f *FS) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.workers = nil
	f.crew.close()
	f.containers.close()
	if f.dir < 0 {
		return fmt.Errorf("close procfs: %w", fs.ErrClosed)
	}
	err := unix.Close(f.dir)
	f.dir = -1
	if err != nil {
		return fmt.Errorf("close procfs: %w", err)
	}
	return nil
}

// Root returns the path of the root: "/proc".
func (f *FS) Root() string { return f.root }

// Live reports whether the root is a procfs of this kernel.
func (f *FS) Live() bool { return f.live }

// Own reports whether the root is a live procfs of the caller's own pid
// namespace. Its process ids then mean the same to system calls.
func (f *FS) Own() bool { return f.own }

// path returns the path of a file under the root, for messages and for others.
func (f *FS) path(rel string) string { return f.root + "/" + rel }

// openat opens name under dir, a directory below the root, and follows nothing
// out of a procfs.
func (f *FS) openat(dir int, name *cname, flags int) (int, unix.Errno) {
	if f.guarded {
		return openat2(dir, name, flags)
	}
	if f.live {
		flags |= unix.O_NOFOLLOW
	}
	fd, errno := openat(dir, name, flags)
	if errno == 0 && f.wary && !isProcfs(fd) {
		closeFD(fd)
		return -1, unix.EXDEV
	}
	return fd, errno
}

// isProcfs reports whether the open file is of a procfs.
func isProcfs(fd int) bool {
	var st unix.Statfs_t
	return unix.Fstatfs(fd, &st) == nil && uint64(st.Type) == unix.PROC_SUPER_MAGIC
}

// open opens a file under the root.
func (f *FS) open(rel string) (int, error) {
	var name cname
	fd, errno := f.openat(f.dir, name.set(rel, -1, ""), openFile)
	if errno != 0 {
		return -1, &fs.PathError{Op: "open", Path: f.path(rel), Err: errno}
	}
	return fd, nil
}

// OpenFile opens a file under the root, "7/net/tcp", to read it. It does not wait
// for a pipe.
func (f *FS) OpenFile(rel string) (*os.File, error) {
	fd, err := f.open(rel)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), f.path(rel)), nil
}

// Self returns the name of our own process under the root.
func (f *FS) Self() string {
	if f.self == "" {
		return "self"
	}
	return f.self
}

// ofSelf returns the path of a file of our own process under the root.
func (f *FS) ofSelf(rel string) string { return f.Self() + "/" + rel }

// readFile reads at most limit bytes of a file under the root.
func (f *FS) readFile(rel string, limit int) ([]byte, error) {
	fd, err := f.open(rel)
	if err != nil {
		return nil, err
	}
	defer closeFD(fd)
	b, errno := readAll(fd, limit)
	if errno != 0 {
		return nil, &fs.PathError{Op: "read", Path: f.path(rel), Err: errno}
	}
	return b, nil
}

// readAll reads fd to its end, at most limit bytes.
func readAll(fd, limit int) ([]byte, unix.Errno) {
	return readInto(make([]byte, 0, min(limit, 4096)), fd, limit)
}

// readInto does the same in the memory of b, which is empty, as long as there is room.
func readInto(b []byte, fd, limit int) ([]byte, unix.Errno) {
	for len(b) < limit {
		if len(b) == cap(b) {
			b = slices.Grow(b, min(len(b), limit-len(b)))
		}
		space := b[len(b):min(cap(b), limit)]
		n, errno := read(fd, space)
		b = b[:len(b)+n]
		if errno != 0 {
			return b, errno
		}
		if n < len(space) {
			break
		}
	}
	return b, 0
}

// pids appends the process ids listed by the root.
func (f *FS) pids(dst []uint32, buf []byte) ([]uint32, error) {
	fd, err := unix.Openat(f.dir, ".", openDir, 0)
	if err != nil {
		return dst, fmt.Errorf("list processes: %w", &fs.PathError{Op: "open", Path: f.root, Err: err})
	}
	defer closeFD(fd)
	errno := entries(fd, buf, func(name []byte) bool {
		if pid, ok := parsePID(name); ok {
			dst = append(dst, pid)
		}
		return true
	})
	if errno != 0 {
		return dst, fmt.Errorf("list processes: %w", &fs.PathError{Op: "read", Path: f.root, Err: errno})
	}
	return dst, nil
}

// Running returns the processes listed by the root whose number is wanted, by rising
// number. A nil wanted wants all. It ends when ctx does, with those found until then.
func (f *FS) Running(ctx context.Context, wanted func(pid uint32) bool) ([]ProcessID, error) {
	pids, err := f.pids(nil, make([]byte, 32<<10))
	if err != nil {
		return nil, err
	}
	slices.Sort(pids)
	var ids []ProcessID
	for _, pid := range pids {
		if ctx.Err() != nil {
			break
		}
		if wanted != nil && !wanted(pid) {
			continue
		}
		if start, _, err := f.Birth(pid); err == nil { // else it is gone
			ids = append(ids, ProcessID{PID: pid, Start: start})
		}
	}
	return ids, nil
}

// BootTime returns the start of the host, by whole seconds (btime of
// /proc/stat). It is read once, so start times stay the same when the clock is
// set. If the root has no stat (mount option subset=pid), or another program's is
// mounted over it, the clocks are asked.
func (f *FS) BootTime() (time.Time, error) {
	f.bootMu.Lock()
	defer f.bootMu.Unlock()
	if !f.boot.IsZero() || f.bootErr != nil {
		return f.boot, f.bootErr
	}
	work := calls[bootTime]{n: 1, do: func(int, func(bootTime)) bootTime { return f.readBootTime() }}
	r := makeCalls(context.Background(), &f.crew, &work)[0]
	boot, err := r.value.time, r.value.err
	if r.end != made {
		err = fmt.Errorf("read boot time: read %s: %w", f.path("stat"), ErrStuck)
	}
	switch clock, clockErr := bootByClock(); {
	case !f.live || clockErr != nil:
	case err == nil && boot.Sub(clock).Abs() <= 2*time.Second: // the same, and the same for every reader
	case err == nil, r.end != made, errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.EXDEV):
		// In a time namespace the processes' starts are shifted, and btime not
		// before Linux 5.11.
		boot, err = clock, nil
	}
	switch {
	case err == nil:
		f.boot = boot
	case r.end == givenUp:
		f.bootErr = err
	}
	return boot, err
}

// A bootTime is the start of the host, or the error of reading it.
type bootTime struct {
	time time.Time
	err  error
}

func (f *FS) readBootTime() bootTime {
	b, err := f.readFile("stat", maxTable)
	if err != nil {
		return bootTime{err: fmt.Errorf("read boot time: %w", err)}
	}
	seconds, err := parseBootTime(b)
	if err != nil {
		return bootTime{err: fmt.Errorf("%s: %w", f.path("stat"), err)}
	}
	return bootTime{time: time.Unix(seconds, 0)}
}

func bootByClock() (time.Time, error) {
	var now, up unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &up); err != nil {
		return time.Time{}, fmt.Errorf("read boot time: %w", err)
	}
	if err := unix.ClockGettime(unix.CLOCK_REALTIME, &now); err != nil {
		return time.Time{}, fmt.Errorf("read boot time: %w", err)
	}
	return time.Unix(0, now.Nano()-up.Nano()).Truncate(time.Second), nil
}

// StartTime converts a start in clock ticks since boot to a point in time, an
// exact multiple of 10 ms. It is the zero Time if the root does not show the
// start of the host ([FS.BootTime] reports the reason).
func (f *FS) StartTime(ticks uint64) time.Time {
	boot, err := f.BootTime()
	if err != nil {
		return time.Time{}
	}
	return startTime(boot, ticks)
}

// UserName returns the name of a user of the host whose procfs this is, or the
// number as text if it has no name. It asks no directory: see [FS.LearnUsers].
func (f *FS) UserName(uid uint32) string { return f.users.Name(uid) }

// LearnUsers asks the host's name services, by getent, for the users whom
// /etc/passwd does not name, so that UserName knows them for a minute. It runs
// nothing if there are none. It gives up after a second, or with ctx; the gap
// counts the users that it could not ask for then. Under a root not our own it
// asks nobody.
func (f *FS) LearnUsers(ctx context.Context, uids []uint32) (whose.Gap, bool) {
	unasked, err := f.users.learn(ctx, uids)
	if err == nil {
		return whose.Gap{}, false
	}
	return whose.Gap{Kind: whose.GapUsers, Cause: whose.CauseFailed, Count: unasked, Detail: err.Error()}, true
}

// UserIDs returns the numbers of the users with these names, as /etc/passwd or
// else the host's name services have them. A name without a user is a
// [whose.UnknownError]; another error says that the services did not answer.
func (f *FS) UserIDs(ctx context.Context, names []string) (map[string]uint32, error) {
	ids := make(map[string]uint32, len(names))
	for _, name := range names {
		uid, ok, err := f.users.id(ctx, name)
		switch {
		case err != nil:
			return nil, fmt.Errorf("find user %q: %w", name, err)
		case !ok:
			return nil, &whose.UnknownError{What: "user", Name: name}
		}
		ids[name] = uid
	}
	return ids, nil
}

// passwd returns the openers of the file with the names of the host's users.
// Under a root not our own it is the one of its process 1, if readable.
func (f *FS) passwd() []func() (*os.File, error) {
	ours := fileAt("/etc/passwd")
	if f.own {
		return []func() (*os.File, error){ours}
	}
	return []func() (*os.File, error){f.passwdOfFirst, ours}
}

// passwdOfFirst opens the file of users in the root of process 1. Nothing in
// there leads out of it.
func (f *FS) passwdOfFirst() (*os.File, error) {
	path := f.path("1/root/etc/passwd")
	root, err := unix.Openat(f.dir, "1/root", openPath, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer closeFD(root)
	fd, err := unix.Openat2(root, "etc/passwd", &unix.OpenHow{
		Flags: openFile, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if errors.Is(err, unix.ENOSYS) { // before Linux 5.6
		fd, err = unix.Openat(root, "etc/passwd", openFile|unix.O_NOFOLLOW, 0)
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// hidden returns the gap of a root whose mount option hides processes from us.
// Every pid namespace has a process 1: without it, processes are hidden.
func (f *FS) hidden() (whose.Gap, bool) {
	var st unix.Statx_t
	var name cname
	if !f.live || !gone(statx(f.dir, name.set("", 1, ""), unix.STATX_TYPE, &st)) {
		return whose.Gap{}, false
	}
	why := "hidden by the mount of " + f.root
	if b, err := f.readFile(f.ofSelf("mountinfo"), maxTable); err == nil {
		if opt := hidepidOf(b, f.root); opt != "" {
			why += " (hidepid=" + opt + ")"
		}
	}
	return whose.Gap{Kind: whose.GapProcesses, Cause: whose.CausePermission, Detail: why,
		Hint: "run as root, or as a member of the group that the mount's option gid= names"}, true
}

// pidPath returns PID/rest.
func pidPath(pid uint32, rest string) string { return pidDir(pid) + "/" + rest }

// pidDir returns the name of a process's directory.
func pidDir(pid uint32) string { return strconv.FormatUint(uint64(pid), 10) }

// stopOn sets stop when ctx ends, until the returned function is called.
func stopOn(ctx context.Context, stop func()) (release func()) {
	if ctx.Done() == nil {
		return func() {}
	}
	end := context.AfterFunc(ctx, stop)
	return func() { end() }
}
