package collect

import (
	"bytes"
	"slices"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/proc"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// The second stage sorts holdings to their sockets. Everything is in flat
// arrays without pointers, and the memory is used again. This file holds hot
// loops: they touch each socket and each holding.

// joined is gathered, with the descriptors of the holders beside each socket.
type joined struct {
	*gathered
	// sockets are those of the snapshot, each once.
	sockets []source.Socket

	// holders[first[i]:first[i+1]] hold socket i, by PID and descriptor.
	first   []uint32
	holders []holder

	// procs are the processes with any holding; pids finds them.
	procs []whose.Process
	// starts are their start times in ticks, 0 if unknown.
	starts []uint64
	pids   map[uint32]uint32
	// ids are the processes whose facts were read, and places those in procs.
	ids    []proc.ProcessID
	places []int
	// names are the names of processes met so far, as text. A later pass makes none
	// of them again.
	names map[[16]byte]string
}

// A holder is a process, by its place in procs, and one of its descriptors.
type holder struct {
	proc uint32
	fd   int32
}

// join brings sockets and holders together.
func (j *joined) join(g *gathered) *joined {
	j.gathered, j.sockets = g, g.snap.Sockets
	holdings, tasks := g.holdings()
	j.attach(holdings, g.plan.admits())
	j.nameTasks(tasks)
	return j
}

// reset forgets the collection and keeps the memory.
func (j *joined) reset() {
	j.gathered, j.sockets, j.procs = nil, nil, nil
	j.ids, j.places = j.ids[:0], j.places[:0]
}

// attach sorts holdings to their sockets: a counting sort, since the places are
// known. It drops holdings of sockets outside the answer; a holding read twice
// counts once. admit, if not nil, reports the wanted processes.
func (j *joined) attach(holdings []source.Holding, admit func(pid uint32) bool) {
	n := len(j.sockets)
	j.first = zeroed(j.first, n+1)
	j.beginProcs()
	index := &j.index
	for i := range holdings {
		h := &holdings[i]
		if at := index.find(j.sockets, h.Inode); at >= 0 && (admit == nil || admit(h.PID)) {
			j.first[at+1]++
		}
	}
	for i := range n {
		j.first[i+1] += j.first[i]
	}
	j.holders = sized(j.holders, int(j.first[n]))
	j.place(holdings, admit)
	j.tidy()
}

// place puts each holding behind the others of its socket. It moves first[i]
// from the beginning of socket i's holders to their end, the beginning of the
// next one's.
func (j *joined) place(holdings []source.Holding, admit func(pid uint32) bool) {
	var lastPID, lastProc uint32
	have := false
	index := &j.index
	for i := range holdings {
		h := &holdings[i]
		at := index.find(j.sockets, h.Inode)
		if at < 0 || admit != nil && !admit(h.PID) {
			continue
		}
		if !have || h.PID != lastPID {
			lastPID, lastProc, have = h.PID, j.proc(h.PID), true
		}
		j.holders[j.first[at]] = holder{lastProc, h.FD}
		j.first[at]++
	}
	n := len(j.sockets)
	copy(j.first[1:], j.first[:n])
	j.first[0] = 0
}

// tidy sorts the holders of each socket by PID and descriptor and removes
// duplicates.
func (j *joined) tidy() {
	var kept uint32
	for i := range j.sockets {
		mine := j.holders[j.first[i]:j.first[i+1]]
		if len(mine) > 1 {
			slices.SortFunc(mine, func(a, b holder) int {
				if a.proc != b.proc {
					return int(j.procs[a.proc].PID) - int(j.procs[b.proc].PID)
				}
				return int(a.fd) - int(b.fd)
			})
			mine = slices.Compact(mine)
		}
		j.first[i] = kept
		kept += uint32(copy(j.holders[kept:], mine))
	}
	j.first[len(j.sockets)] = kept
	j.holders = j.holders[:kept]
}

// beginProcs forgets the processes of the last pass. The values themselves
// were handed out and are not written again.
func (j *joined) beginProcs() {
	j.procs = make([]whose.Process, 0, max(16, len(j.procs)))
	j.starts = j.starts[:0]
	if j.pids == nil {
		j.pids = make(map[uint32]uint32)
	}
	clear(j.pids)
}

// proc returns the place of the process, making one if there is none.
func (j *joined) proc(pid uint32) uint32 {
	at, ok := j.pids[pid]
	if !ok {
		at = uint32(len(j.procs))
		j.procs = append(j.procs, whose.Process{PID: pid})
		j.starts = append(j.starts, 0)
		j.pids[pid] = at
	}
	return at
}

// nameTasks gives the holding processes their names and start times, read by
// the walk or the source beside the descriptors.
func (j *joined) nameTasks(tasks []source.Task) {
	for i := range tasks {
		t := &tasks[i]
		at, ok := j.pids[t.PID]
		if !ok {
			continue
		}
		process := &j.procs[at]
		j.starts[at] = t.Start
		process.StartTime = j.plan.fs.StartTime(t.Start)
		process.Comm = j.name(&t.Comm)
	}
}

// maxNames bounds the names that are kept.
const maxNames = 16 << 10

// name returns the name of a process as text.
func (j *joined) name(comm *[16]byte) string {
	if name, ok := j.names[*comm]; ok {
		return name
	}
	if j.names == nil || len(j.names) == maxNames {
		j.names = make(map[[16]byte]string)
	}
	name := string(cutNUL(comm[:]))
	j.names[*comm] = name
	return name
}

func cutNUL(b []byte) []byte {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return b[:i]
	}
	return b
}

// holdersOf returns the holders of socket i. A subflow has those of its session,
// which the index finds by their inode.
func (j *joined) holdersOf(i int) []holder {
	if s := &j.sockets[i]; s.Flags&source.SocketSubflow != 0 {
		if at := j.found(s.Inode); at >= 0 {
			i = at
		}
	}
	return j.holders[j.first[i]:j.first[i+1]]
}

// sized returns a slice of n elements, in s's memory if it suffices.
func sized[T any](s []T, n int) []T {
	return reserve(s, n)[:n]
}

// zeroed is sized, with all elements zero.
func zeroed[T any](s []T, n int) []T {
	if cap(s) < n {
		return sized(s, n) // new memory is zero
	}
	s = s[:n]
	clear(s)
	return s
}
