package proc

import (
	"cmp"
	"slices"

	"github.com/seed-44df2ae6/whose/internal/source"
	"golang.org/x/sys/unix"
)

// taskLinks is how many more links /proc/PID/task has than the process threads (proc_task_getattr in the kernel's fs/proc/base.c).
const taskLinks = 2

// threads returns the number of threads of the process; dir is one of its
// directories. If unknown it returns 2: more than one is possible.
func (wk *worker) threads(dir int) int {
	if !wk.fs.live {
		return 2
	}
	if errno := statx(dir, wk.name.set("../task", -1, ""), unix.STATX_NLINK, &wk.sx); errno != 0 {
		return 2
	}
	return int(wk.sx.Nlink) - taskLinks
}

// threadTables reads the descriptor tables of the threads with one of their
// own. If the kernel does not compare tables for us (kcmp), each thread's is
// read, without the descriptors met before.
func (wk *worker) threadTables(dir int, pid uint32, before int) outcome {
	if errno := wk.listThreads(dir); errno != 0 {
		return wk.because(errno)
	}
	wk.reps = append(wk.reps[:0], pid)
	tables := 1
	for _, tid := range wk.tids {
		if tid == pid || wk.sameTable(tid) {
			continue
		}
		table, errno := wk.fs.openat(dir, wk.name.set("../task/", int64(tid), "/fd"), openDir)
		if errno == 0 {
			errno = wk.table(table, pid, tid)
			closeFD(table)
		}
		switch {
		case errno == 0:
			tables++
			wk.reps = append(wk.reps, tid)
		case gone(errno): // the thread exited
		default:
			return wk.because(errno)
		}
		if wk.scan.over() {
			break
		}
	}
	if tables > 1 {
		wk.holdings = unique(wk.holdings, before)
	}
	return looked
}

// listThreads sets the threads of the process, of which dir is a directory.
func (wk *worker) listThreads(dir int) unix.Errno {
	wk.tids = wk.tids[:0]
	tasks, errno := wk.fs.openat(dir, wk.name.set("../task", -1, ""), openDir)
	if errno != 0 {
		return errno
	}
	defer closeFD(tasks)
	return entries(tasks, wk.names, func(name []byte) bool {
		if tid, ok := parsePID(name); ok {
			wk.tids = append(wk.tids, tid)
		}
		return true
	})
}

// maxReps bounds the tables to compare a thread's with.
const maxReps = 16

// sameTable reports whether, by the kernel's word, the thread shares a table
// already read.
func (wk *worker) sameTable(tid uint32) bool {
	if !wk.fs.own {
		return false
	}
	for _, rep := range wk.reps[:min(len(wk.reps), maxReps)] {
		same, _, errno := unix.Syscall6(unix.SYS_KCMP, uintptr(rep), uintptr(tid), kcmpFiles, 0, 0, 0)
		if errno == 0 && same == 0 {
			return true
		}
		if denied(errno) || errno == unix.ENOSYS {
			return false
		}
	}
	return false
}

// kcmpFiles is KCMP_FILES of the kernel's include/uapi/linux/kcmp.h.
const kcmpFiles = 2

// unique keeps each of holdings[before:] once.
func unique(holdings []source.Holding, before int) []source.Holding {
	own := holdings[before:]
	slices.SortFunc(own, func(a, b source.Holding) int {
		return cmp.Or(cmp.Compare(a.Inode, b.Inode), cmp.Compare(a.FD, b.FD))
	})
	return holdings[:before+len(slices.Compact(own))]
}
