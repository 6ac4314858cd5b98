package bpfevent

import "sync/atomic"

const (
	// keepExited is the time for which the name of an exited process is kept, in
	// nanoseconds: its last records come late.
	keepExited = 10_000_000_000
	// maxTasks bounds each of the two generations of names, and the exits kept. It
	// is twice what the programs know: a process that they forget, they report
	// again before they name it.
	maxTasks = 32768
)

// tasks are the reported processes, by their number in the first pid namespace.
// A record that says that one exited may be lost, or never come: the programs
// forget processes too. So there are two generations. When the young one is full
// the old one goes, except for those named since it was young.
type tasks struct {
	young, old map[uint32]namedTask
	gone       []goneTask
	// forgotten counts those that went without an exit. Others read it.
	forgotten atomic.Uint64
}

// A namedTask is a reported process. start is in nanoseconds.
type namedTask struct {
	start uint64
	task  Task
}

type goneTask struct {
	tgid        uint32
	start, time uint64
}

func (k *tasks) add(tgid uint32, t namedTask) {
	if k.young == nil || len(k.young) >= maxTasks {
		k.forgotten.Add(uint64(len(k.old)))
		k.young, k.old = make(map[uint32]namedTask), k.young
	}
	k.young[tgid] = t
	delete(k.old, tgid)
}

// find returns a process that began at that time, and not another of its number.
func (k *tasks) find(tgid uint32, start uint64) (Task, bool) {
	t, young := k.young[tgid]
	if !young {
		t = k.old[tgid]
	}
	if t.start != start {
		return Task{}, false
	}
	if !young {
		k.add(tgid, t)
	}
	return t.task, true
}

// exit notes that a process exited, and drops those that did so long ago.
func (k *tasks) exit(tgid uint32, start, now uint64) {
	n := 0
	for n < len(k.gone) && (now > k.gone[n].time+keepExited || len(k.gone)-n >= maxTasks) {
		k.drop(&k.gone[n])
		n++
	}
	if n > 0 {
		k.gone = append(k.gone[:0], k.gone[n:]...)
	}
	k.gone = append(k.gone, goneTask{tgid, start, now})
}

func (k *tasks) drop(g *goneTask) {
	for _, all := range []map[uint32]namedTask{k.young, k.old} {
		if t, ok := all[g.tgid]; ok && t.start == g.start {
			delete(all, g.tgid)
		}
	}
}
