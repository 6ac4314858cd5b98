package bpfiter

// fd_walk says of each process in which network namespace it is, so that nobody has
// to look into /proc for a namespace's name.

// An insider is a task in a namespace: the main thread of a process or, if tid is
// not 0, another thread.
type insider struct{ netns, pid, tid uint32 }

// before reports whether a namespace is named by i and not by o: main threads come
// first, then the lower numbers.
func (i insider) before(o insider) bool {
	switch {
	case (i.tid == 0) != (o.tid == 0):
		return i.tid == 0
	case i.pid != o.pid:
		return i.pid < o.pid
	}
	return i.tid < o.tid
}

// noteInside notes who is in a namespace.
func (rd *reading) noteInside(i insider) {
	if i.netns == 0 {
		return
	}
	if o, ok := rd.insiders[i.netns]; ok && !i.before(o) {
		return
	}
	if rd.insiders == nil {
		rd.insiders = make(map[uint32]insider)
	}
	rd.insiders[i.netns] = i
}

// askingMarks returns the question of fd_walk with the marks of processes, if they are
// wanted.
func (rd *reading) askingMarks(q question) question {
	if rd.marks {
		q.flags |= askMarks
	}
	return q
}

// noteSeen notes a process whose namespace is known.
func (rd *reading) noteSeen(pid uint32) { rd.snap.Seen = append(rd.snap.Seen, pid) }

// settleInsiders puts into the snapshot who is in each namespace, if all processes
// were seen.
func (rd *reading) settleInsiders() {
	if !rd.allInside {
		return
	}
	for netns, i := range rd.insiders {
		tid := i.pid
		if i.tid != 0 {
			tid = i.tid
		}
		rd.snap.NoteInside(netns, tid)
	}
}
