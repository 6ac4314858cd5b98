package bpfiter

import (
	"cmp"
	"slices"
)

// The kernel makes a socket's cookie at the first request for it. fd_walk only
// reads, so it shows sockets without a cookie to task_file, which asks. A
// socket takes this way once in its life.

// maxBareProcesses bounds how many processes are looked into one by one.
const maxBareProcesses = 16

// prepareBare sorts the bare sockets by inode and returns who has them.
func (rd *reading) prepareBare() []uint32 {
	slices.SortFunc(rd.bare, func(a, b bareSocket) int { return cmp.Compare(a.inode, b.inode) })
	var pids []uint32
	for _, b := range rd.bare {
		if len(pids) > maxBareProcesses {
			break
		}
		if !slices.Contains(pids, b.pid) {
			pids = append(pids, b.pid)
		}
	}
	return pids
}

// applyCookies takes records of task_file, and of them the cookies. It is safe
// for concurrent use.
func (rd *reading) applyCookies(b []byte) error {
	rd.mu.Lock()
	defer rd.mu.Unlock()
	r := records{rest: b}
	for r.next() {
		if r.kind != recordSocket {
			continue
		}
		s := as[socketRecord](r.body)
		at, ok := slices.BinarySearchFunc(rd.bare, s.inode, func(b bareSocket, inode uint64) int {
			return cmp.Compare(b.inode, inode)
		})
		if ok {
			rd.snap.Sockets[rd.bare[at].at].Cookie = s.cookie
		}
	}
	return r.err
}
