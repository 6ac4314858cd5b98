package proc

import (
	"errors"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// A worker looks into processes, one after the other. Its buffers live as long
// as the FS and are used again.
type worker struct {
	fs   *FS
	scan *scan

	name   cname             // the file asked for now
	names  []byte            // from getdents
	link   [linkSize]byte    // where a link leads
	text   [maxStatus]byte   // content of a small file
	sx     unix.Statx_t      //
	pids   []uint32          // the processes of the scan, in the first worker
	tids   []uint32          // the threads of the process
	reps   []uint32          // one thread for each descriptor table of the process
	known  map[uint32]netNS  // network namespaces met so far
	mnts   map[uint32]uint32 // mount namespaces met so far, with a process in each
	closed []closedNetNS
	slots  []int // of Want, claimed by the process looked into now

	holdings  []source.Holding
	tasks     []source.Task
	netns     []source.NetNSRef
	processes int
	denied    int
	gone      int
	links     int
	gaps      whose.Gaps // failed processes, by cause
}

// linkSize is room for "socket:[18446744073709551615]"; of a longer link no
// more is of use.
const linkSize = 40

// namesSize is the room for directory entries, some 2,700 descriptors.
const namesSize = 64 << 10

func newWorker(f *FS) *worker {
	return &worker{fs: f, names: make([]byte, namesSize),
		known: make(map[uint32]netNS), mnts: make(map[uint32]uint32)}
}

// reset empties the worker and keeps its memory.
func (wk *worker) reset() {
	wk.scan = nil
	wk.holdings, wk.tasks = wk.holdings[:0], wk.tasks[:0]
	clear(wk.netns)
	wk.netns, wk.gaps = wk.netns[:0], wk.gaps[:0]
	wk.processes, wk.denied, wk.gone, wk.links = 0, 0, 0, 0
	wk.closed = wk.closed[:0]
	clear(wk.known)
	clear(wk.mnts)
}

// addTo appends the worker's findings to w.
func (wk *worker) addTo(w *Walk) {
	w.Holdings = append(w.Holdings, wk.holdings...)
	w.Tasks = append(w.Tasks, wk.tasks...)
	w.NetNS = append(w.NetNS, wk.netns...)
	w.Processes += wk.processes
	w.Denied += wk.denied
	w.Gone += wk.gone
	w.Links += wk.links
}

// walk looks into processes until none is left.
func (wk *worker) walk(p *scan) {
	wk.scan = p
	for !p.over() {
		i := p.next.Add(1) - 1
		if i >= int64(len(p.pids)) {
			return
		}
		wk.process(p.pids[i])
	}
}

// outcome is the end of a look into a process.
type outcome uint8

const (
	looked    outcome = iota // its descriptors were read
	skipped                  // it was not asked for, or holds nothing by nature
	wasGone                  // it exited
	wasDenied                // we may not look
	unread                   // neither; noted
)

// process looks into one process and counts its outcome. If the process is gone
// before its start time was read, its finds are taken back: nobody could name
// their owner.
func (wk *worker) process(pid uint32) {
	before, netns := len(wk.holdings), len(wk.netns)
	wk.slots = wk.slots[:0]
	switch wk.look(pid) {
	case looked:
		wk.processes++
		return
	case wasGone:
		wk.gone++
	case wasDenied:
		wk.denied++
	}
	wk.holdings = wk.holdings[:before]
	for _, ref := range wk.netns[netns:] {
		delete(wk.known, ref.Inode)
	}
	wk.netns = wk.netns[:netns]
	for _, slot := range wk.slots {
		wk.scan.found[slot].Store(false)
		wk.scan.remaining.Add(1)
	}
}

// look reads the descriptors of a process. A descriptor of one of its
// directories stays open the while: everything read through it is of this very
// process, even if its number is given to another.
func (wk *worker) look(pid uint32) outcome {
	if wk.scan.opt.PIDs != nil || wk.scan.opt.Process != nil {
		if !wk.asked(pid) {
			return skipped
		}
	}
	dir, errno := wk.fs.openat(wk.fs.dir, wk.name.set("", int64(pid), "/fd"), openDir)
	if errno != 0 {
		return wk.withoutTable(pid, errno)
	}
	defer closeFD(dir)
	before := len(wk.holdings)
	if errno := wk.table(dir, pid, 0); errno != 0 {
		return wk.because(errno)
	}
	if threads := wk.threads(dir); threads > 1 {
		if result := wk.threadTables(dir, pid, before); result != looked {
			return result
		}
	}
	return wk.task(dir, pid, before)
}

// asked reports whether the options ask for the process.
func (wk *worker) asked(pid uint32) bool {
	opt := wk.scan.opt
	if opt.PIDs != nil {
		n, errno := wk.fs.readAt(wk.fs.dir, wk.name.set("", int64(pid), "/status"), wk.text[:])
		s, err := parseStatus(wk.text[:n])
		if errno == 0 && err == nil && s.PID != pid {
			return false // a thread: found as a directory, though none is listed
		}
	}
	if opt.Process == nil {
		return true
	}
	n, errno := wk.fs.readAt(wk.fs.dir, wk.name.set("", int64(pid), "/comm"), wk.text[:])
	if errno != 0 {
		return false
	}
	return opt.Process(pid, string(trimNewline(wk.text[:n])))
}

// because returns the outcome for a process by errno, and notes a failure.
func (wk *worker) because(errno unix.Errno) outcome {
	switch {
	case gone(errno):
		return wasGone
	case denied(errno):
		return wasDenied
	case errno == unix.EXDEV:
		return wk.failed(errMasked)
	}
	return wk.failed(errno)
}

// failed notes the cause of a failed look into a process, other than exit and
// permission: descriptors or memory ran out, or the kernel's words are not
// understood.
func (wk *worker) failed(why error) outcome {
	gap := source.GapOf(whose.GapProcesses, 1, why)
	if len(wk.gaps) >= maxCauses {
		gap = whose.Gap{Kind: whose.GapProcesses, Cause: whose.CauseFailed, Count: 1, Detail: "other causes"}
	}
	wk.gaps.Add(gap)
	return unread
}

// maxCauses bounds the causes distinguished by one worker.
const maxCauses = 16

// withoutTable is for a process whose descriptors cannot be listed. A kernel
// thread has none, nor has a zombie, unless it is the main thread of a process
// whose other threads live on.
func (wk *worker) withoutTable(pid uint32, errno unix.Errno) outcome {
	if gone(errno) && wk.masked(pid) {
		return wk.failed(errMasked)
	}
	if !denied(errno) {
		return wk.because(errno)
	}
	dir, errno := wk.fs.openat(wk.fs.dir, wk.name.set("", int64(pid), "/task"), openDir)
	if errno != 0 {
		return wk.because(errno)
	}
	defer closeFD(dir)
	n, errno := wk.fs.readAt(dir, wk.name.set("../stat", -1, ""), wk.text[:maxStat])
	if errno != 0 {
		return wk.because(errno)
	}
	s, err := parseStat(wk.text[:n])
	switch {
	case err != nil:
		return wasDenied
	case s.Kernel:
		return skipped
	case s.State != 'Z' && s.State != 'X':
		return wasDenied
	case s.Threads <= 1:
		return skipped
	}
	before := len(wk.holdings)
	if result := wk.threadTables(dir, pid, before); result != looked {
		return result
	}
	return wk.task(dir, pid, before)
}

// masked reports whether a process is there and its descriptors are not.
func (wk *worker) masked(pid uint32) bool {
	if !wk.fs.live || statx(wk.fs.dir, wk.name.set("", int64(pid), ""), unix.STATX_TYPE, &wk.sx) != 0 {
		return false
	}
	// Its number may have been given to another meanwhile.
	return gone(statx(wk.fs.dir, wk.name.set("", int64(pid), "/fd"), unix.STATX_TYPE, &wk.sx)) &&
		statx(wk.fs.dir, wk.name.set("", int64(pid), ""), unix.STATX_TYPE, &wk.sx) == 0
}

var errMasked = errors.New("something is mounted over its directory")

// task notes the process itself, if it holds anything.
func (wk *worker) task(dir int, pid uint32, before int) outcome {
	if len(wk.holdings) == before {
		return looked
	}
	n, errno := wk.fs.readAt(dir, wk.name.set("../stat", -1, ""), wk.text[:maxStat])
	if errno != 0 {
		return wk.because(errno)
	}
	s, err := parseStat(wk.text[:n])
	if err != nil {
		return wk.failed(wrapFile(wk.fs.path(pidPath(pid, "stat")), err))
	}
	t := source.Task{PID: pid, Start: s.Start}
	copy(t.Comm[:len(t.Comm)-1], s.Comm)
	wk.tasks = append(wk.tasks, t)
	return looked
}

// fdPath returns the path of a descriptor, of a thread if tid is not zero.
func (wk *worker) fdPath(pid, tid uint32, fd int32) string {
	rest := "fd/" + strconv.Itoa(int(fd))
	if tid != 0 {
		rest = "task/" + pidPath(tid, rest)
	}
	return wk.fs.path(pidPath(pid, rest))
}
