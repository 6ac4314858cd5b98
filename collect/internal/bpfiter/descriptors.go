package bpfiter

import (
	"slices"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// What the threads read of the descriptors goes into the same arrays. A thread goes
// through the records of a read twice. First, with the lock, it decides what each is
// good for, which touches a few bytes of it, and takes as many places in the arrays
// as it needs. Then it fills its places, which is most of the work, beside the others.

// A met is a record of a socket that counts. fresh: the socket was not met before.
// doubtful: its holding may be known already. tcp is its place in snap.TCPInfo, plus
// one.
type met struct {
	*socketRecord
	tcp             uint32
	fresh, doubtful bool
}

// maxMet is as many sockets as a read gives, but on a kernel with large pages.
const maxMet = 512

// applyDescriptors takes records of fd_walk or task_file. It is safe for concurrent use.
func (rd *reading) applyDescriptors(b []byte) error {
	var room [maxMet]met
	rd.mu.Lock()
	all, err := rd.sift(b, room[:0])
	sockets, holdings := rd.takePlaces(all)
	rd.mu.Unlock()
	defer rd.filling.RUnlock()
	for i := range all {
		m := &all[i]
		if m.fresh {
			sockets[0] = rd.socketOf(m.socketRecord)
			sockets[0].TCPInfo = m.tcp
			sockets = sockets[1:]
		}
		if !m.doubtful {
			holdings[0] = holdingOf(m.socketRecord)
			holdings = holdings[1:]
		}
	}
	return err
}

// takePlaces returns places in the arrays for the sockets and holdings that are to be
// in them. The arrays stay where they are until filling is given back.
func (rd *reading) takePlaces(all []met) ([]source.Socket, []source.Holding) {
	var sockets, holdings int
	for i := range all {
		if all[i].fresh {
			sockets++
		}
		if !all[i].doubtful {
			holdings++
		}
	}
	s, h := len(rd.snap.Sockets), len(rd.snap.Holdings)
	if s+sockets > cap(rd.snap.Sockets) || h+holdings > cap(rd.snap.Holdings) {
		rd.filling.Lock()
		rd.snap.Sockets = slices.Grow(rd.snap.Sockets, sockets)
		rd.snap.Holdings = slices.Grow(rd.snap.Holdings, holdings)
		rd.filling.Unlock()
	}
	rd.filling.RLock()
	rd.snap.Sockets, rd.snap.Holdings = rd.snap.Sockets[:s+sockets], rd.snap.Holdings[:h+holdings]
	return rd.snap.Sockets[s:], rd.snap.Holdings[h:]
}

// sift appends to all the sockets of b that count, and applies the other records.
func (rd *reading) sift(b []byte, all []met) ([]met, error) {
	r := records{rest: b}
	at, places := place{}, len(rd.snap.Sockets)
	for last, pid, netns, fresh := uint32(0), uint32(0), uint32(0), false; r.next(); {
		switch r.kind {
		case recordSocket:
			s := as[socketRecord](r.body)
			if s.pid != pid {
				pid, at = s.pid, rd.placeOf(s.pid)
			}
			if s.netns != netns {
				netns = s.netns
				rd.noteWay(source.Way{NetNS: netns, Holding: holdingOf(s)})
			}
			if s.leadsOn() {
				rd.beyond = true
			}
			if fresh = false; s.fd < at.from || !rd.wantsNetNS(s.netns) || !rd.states.Has(whose.State(s.state)) {
				continue
			}
			if fresh = rd.held.add(s.inode); fresh {
				rd.noteBare(s, places)
				rd.noteKey(s)
				places++
			}
			m := met{socketRecord: s, fresh: fresh, doubtful: at.unsure || s.flags&flagThread != 0}
			if m.doubtful {
				rd.doubtful = append(rd.doubtful, holdingOf(s))
			}
			all = append(all, m)
			if s.pid != last {
				last = s.pid
				rd.appendTask(s)
			}
		case recordTCP:
			if !fresh {
				continue
			}
			one := &all[len(all)-1]
			if info, ok := rd.tcpInfo(as[tcpRecord](r.body), whose.State(one.state)); ok {
				rd.snap.TCPInfo = append(rd.snap.TCPInfo, info)
				one.tcp = uint32(len(rd.snap.TCPInfo))
			}
		default:
			rd.applyTask(r.kind, r.body)
		}
	}
	return all, r.err
}

// applyNames hands over each process that has a socket, with its name, and applies
// what is said of processes. It is safe for concurrent use.
func (rd *reading) applyNames(b []byte, each func(pid uint32, comm string)) error {
	rd.mu.Lock()
	defer rd.mu.Unlock()
	r := records{rest: b}
	for r.next() {
		if r.kind != recordSocket {
			rd.applyTask(r.kind, r.body)
			continue
		}
		s := as[socketRecord](r.body)
		each(s.pid, text(s.comm[:]))
	}
	return r.err
}

// applyTask applies what is said of a process.
func (rd *reading) applyTask(kind recordKind, rec []byte) {
	switch kind {
	case recordTask:
		if !rd.shown {
			rd.processes++
		}
		task := as[taskRecord](rec)
		rd.noteInside(insider{netns: task.netns, pid: task.pid})
		rd.noteSeen(task.pid)
		if task.mark != 0 {
			rd.snap.Marks = append(rd.snap.Marks, source.Mark{PID: task.pid, Mark: task.mark})
		}
	case recordInside:
		in := as[insideRecord](rec)
		rd.noteInside(insider{in.netns, in.pid, in.tid})
		if in.tid == 0 {
			rd.noteSeen(in.pid)
		}
	default:
		rd.applyRest(kind, rec)
	}
}
