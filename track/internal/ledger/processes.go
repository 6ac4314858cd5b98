package ledger

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/proc"
	"github.com/seed-44df2ae6/whose/track/internal/bpfevent"
)

// setID names a set of owners; 0 is the empty one.
type setID uint32

// processes is the process table: processes that own sessions or did so lately,
// and the sets that they form. A session refers to its set by number. Returned
// values are never written again. A process that executes another program
// becomes a new value in the same place.
//
// A sweep removes unreferenced sets and processes after many sets were made. It
// spares those named since the last sweep, since a process that had a session
// will likely have another.
type processes struct {
	byID map[processID]*process
	// sets by number; 0 is unused.
	sets  []ownerSet
	free  []setID
	multi map[string]setID
	// lately are processes named by recent records, by PID.
	lately [64]latelyNamed
	// made counts the sets since the last sweep, sweeps the sweeps.
	made, sweeps int
	// describe completes the facts of a new process.
	describe func(t *bpfevent.Task, known *whose.Process)
}

type processID struct {
	pid   uint32
	start int64 // start time in nanoseconds
}

// A process is an entry of the process table.
type process struct {
	id    processID
	facts *whose.Process
	// alone is the set of this process only.
	alone setID
	// named is the number of sweeps when it was named last.
	named int
}

// An ownerSet is a set of processes, shared by all sessions that they own.
type ownerSet struct {
	owners  []whose.Owner
	members []*process
}

// Bounds on texts that processes choose.
const (
	maxComm    = 64
	maxCmdline = 4096
	maxExe     = 4096
)

func newProcesses(describe func(*bpfevent.Task, *whose.Process)) *processes {
	return &processes{
		byID: make(map[processID]*process), multi: make(map[string]setID),
		sets: make([]ownerSet, 1), describe: describe,
	}
}

// owners returns the owners of a set; nil of the empty one.
func (p *processes) owners(id setID) []whose.Owner { return p.sets[id].owners }

// has reports whether a set has the one process of another.
func (p *processes) has(set, alone setID) bool {
	return slices.ContainsFunc(p.sets[set].members, func(one *process) bool { return one.alone == alone })
}

// minSwept is the number of sets that makes a sweep worth it. Up to twice as
// many unreferenced ones are kept.
const minSwept = 2048

// due reports whether enough sets were made for a sweep over so many sessions.
func (p *processes) due(sessions int) bool { return p.made >= max(minSwept, sessions/16) }

// sweep forgets the sets that roots does not mark. It forgets the processes
// that are in no other set and were not named since the last sweep.
func (p *processes) sweep(roots func(mark func(setID))) {
	used := make([]bool, len(p.sets))
	roots(func(id setID) { used[id] = true })
	for key, id := range p.multi {
		if used[id] {
			for _, one := range p.sets[id].members {
				used[one.alone] = true
			}
			continue
		}
		delete(p.multi, key)
		p.dropSet(id)
	}
	for id, one := range p.byID {
		if !used[one.alone] && one.named < p.sweeps {
			delete(p.byID, id)
			p.dropSet(one.alone)
		}
	}
	clear(p.lately[:])
	p.made, p.sweeps = 0, p.sweeps+1
}

func (p *processes) dropSet(id setID) {
	p.sets[id] = ownerSet{}
	p.free = append(p.free, id)
}

func (p *processes) newSet(members []*process) setID {
	p.made++
	s := ownerSet{members: members, owners: make([]whose.Owner, len(members))}
	for i, one := range members {
		s.owners[i].Process = one.facts
	}
	if n := len(p.free); n > 0 {
		id := p.free[n-1]
		p.free = p.free[:n-1]
		p.sets[id] = s
		return id
	}
	p.sets = append(p.sets, s)
	return setID(len(p.sets) - 1)
}

// know returns the process with these facts, new or known. Known facts stay,
// unless the name has changed.
func (p *processes) know(facts *whose.Process) *process {
	id := processID{facts.PID, facts.StartTime.UnixNano()}
	if one := p.find(id); one != nil {
		if one.facts.Comm != facts.Comm {
			p.update(one, facts)
		}
		return one
	}
	fresh := bounded(*facts)
	one := &process{id: id, facts: &fresh, named: p.sweeps}
	one.alone = p.newSet([]*process{one})
	p.byID[id] = one
	return one
}

// find returns a process that is named now, nil for an unknown one.
func (p *processes) find(id processID) *process {
	one := p.byID[id]
	if one != nil {
		one.named = p.sweeps
	}
	return one
}

// update gives a process new facts. Returned values stay as they are.
func (p *processes) update(one *process, facts *whose.Process) {
	fresh := bounded(*facts)
	one.facts = &fresh
	p.late(one.id.pid).pid = 0
	p.rebuild(one.alone)
	for _, id := range p.multi {
		if slices.Contains(p.sets[id].members, one) {
			p.rebuild(id)
		}
	}
}

func (p *processes) rebuild(id setID) {
	s := &p.sets[id]
	s.owners = make([]whose.Owner, len(s.members))
	for i, one := range s.members {
		s.owners[i].Process = one.facts
	}
}

func bounded(f whose.Process) whose.Process {
	f.Comm = cut(f.Comm, maxComm)
	f.Cmdline = cut(f.Cmdline, maxCmdline)
	f.Exe = cut(f.Exe, maxExe)
	f.Script = cut(f.Script, maxCmdline)
	return f
}

func cut(s string, n int) string {
	if len(s) > n {
		return strings.Clone(s[:n])
	}
	return s
}

// setOf returns the set of these owners.
func (p *processes) setOf(owners []whose.Owner) setID {
	switch len(owners) {
	case 0:
		return 0
	case 1:
		return p.know(owners[0].Process).alone
	}
	members := make([]*process, len(owners))
	for i := range owners {
		members[i] = p.know(owners[i].Process)
	}
	slices.SortFunc(members, func(a, b *process) int { return a.id.compare(b.id) })
	members = slices.Compact(members)
	if len(members) == 1 {
		return members[0].alone
	}
	key := setKey(members)
	id, ok := p.multi[key]
	if !ok {
		id = p.newSet(members)
		p.multi[key] = id
	}
	return id
}

func (a processID) compare(b processID) int {
	if a.pid != b.pid {
		return int(a.pid) - int(b.pid)
	}
	return int(min(max(a.start-b.start, -1), 1))
}

func setKey(members []*process) string {
	var b []byte
	for _, one := range members {
		b = binary.LittleEndian.AppendUint32(b, one.id.pid)
		b = binary.LittleEndian.AppendUint64(b, uint64(one.id.start))
	}
	return string(b)
}

// A latelyNamed is a record's account of a process, and its set.
type latelyNamed struct {
	start uint64
	comm  [16]byte
	pid   uint32
	set   setID
}

// late returns the slot of a PID among the lately named.
func (p *processes) late(pid uint32) *latelyNamed { return &p.lately[pid%uint32(len(p.lately))] }

// ofTask returns the set of the process named by a record; 0 if it names no
// visible one.
func (p *processes) ofTask(t *bpfevent.Task, start func(ticks uint64) time.Time) setID {
	if t.PID == 0 {
		return 0
	}
	late := p.late(t.PID)
	if late.pid != t.PID || late.start != t.Start || late.comm != t.Comm {
		*late = latelyNamed{start: t.Start, comm: t.Comm, pid: t.PID, set: p.lookUp(t, start(t.Start))}
	}
	return late.set
}

// lookUp returns the set of a process named by a record.
func (p *processes) lookUp(t *bpfevent.Task, start time.Time) setID {
	if one := p.find(processID{t.PID, start.UnixNano()}); one != nil {
		if comm := commOf(t); len(comm) > 0 && string(comm) != one.facts.Comm {
			facts := *one.facts
			facts.Comm = string(comm)
			p.update(one, &facts)
		}
		return one.alone
	}
	facts := whose.Process{PID: t.PID, StartTime: start, Comm: string(commOf(t)), Parent: t.Parent, UID: t.UID}
	p.describe(t, &facts)
	return p.know(&facts).alone
}

// learn notes a record's facts of a process, before or after it is named.
func (p *processes) learn(t *bpfevent.Task, start time.Time, text, exe []byte) {
	if t.PID == 0 {
		return
	}
	facts := whose.Process{
		PID: t.PID, StartTime: start, Comm: string(commOf(t)), Parent: t.Parent, UID: t.UID,
		Cmdline: joinArgs(text), Exe: string(exe[:min(len(exe), maxExe)]),
	}
	facts.Script = proc.Script(facts.Exe, text)
	p.describe(t, &facts)
	if one := p.find(processID{t.PID, start.UnixNano()}); one != nil {
		p.update(one, &facts)
		return
	}
	p.know(&facts)
}

// commOf returns the name of a task without its padding.
func commOf(t *bpfevent.Task) []byte {
	if i := bytes.IndexByte(t.Comm[:], 0); i >= 0 {
		return t.Comm[:i]
	}
	return t.Comm[:]
}

// joinArgs makes one line of arguments that each end in NUL.
func joinArgs(b []byte) string {
	b = bytes.TrimRight(b[:min(len(b), maxCmdline)], "\x00")
	return string(bytes.ReplaceAll(b, []byte{0}, []byte{' '}))
}
