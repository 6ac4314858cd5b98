package track

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/track/internal/bpfevent"
)

// setID names a set of owners; 0 is the empty one.
type setID uint32

// A people holds the processes that own sessions or did so lately, and the
// sets that they form. A session refers to its set by number. What is handed
// out is never written again: a process that executes another program becomes
// a new value in the same place.
//
// What no session refers to is kept for a while, up to idleLimit, since a
// process that had a session will likely have another.
type people struct {
	byID map[processID]*person
	// sets by number; 0 is unused.
	sets  []ownerSet
	free  []setID
	multi map[string]setID
	// lately are processes that records named lately, by PID.
	lately [64]latelyNamed
	// idle are those without a session, the oldest first, some of them twice or
	// in use again.
	idle      []*person
	idleCount int
	idleLimit int
	// describe completes what is known of a process that is met first.
	describe func(t *bpfevent.Task, known *whose.Process)
}

type processID struct {
	pid   uint32
	start int64 // start time in nanoseconds
}

// A person is a process.
type person struct {
	id    processID
	facts *whose.Process
	// alone is the set of this process only.
	alone setID
	// many counts the sets of several in which it is.
	many int
	// queued tells that it stands in idle.
	queued bool
}

// An ownerSet is a set of processes, shared by all sessions that they own.
type ownerSet struct {
	owners  []whose.Owner
	persons []*person
	refs    int
}

// defaultIdle is how many processes without a session are kept.
const defaultIdle = 4096

// Bounds on texts that processes choose.
const (
	maxComm    = 64
	maxCmdline = 4096
	maxExe     = 4096
)

func newPeople(describe func(*bpfevent.Task, *whose.Process)) *people {
	return &people{
		byID: make(map[processID]*person), multi: make(map[string]setID),
		sets: make([]ownerSet, 1), idleLimit: defaultIdle, describe: describe,
	}
}

// owners returns the owners of a set; nil of the empty one.
func (p *people) owners(id setID) []whose.Owner { return p.sets[id].owners }

// hold and release count the sessions that refer to a set.
func (p *people) hold(id setID) {
	if id != 0 {
		p.sets[id].refs++
	}
}

func (p *people) release(id setID) {
	if id == 0 {
		return
	}
	s := &p.sets[id]
	if s.refs--; s.refs > 0 {
		return
	}
	if len(s.persons) == 1 {
		p.rest(s.persons[0])
		return
	}
	delete(p.multi, setKey(s.persons))
	for _, one := range s.persons {
		one.many--
		p.rest(one)
	}
	p.dropSet(id)
}

// rest puts a process that owns nothing among those that may be forgotten.
func (p *people) rest(one *person) {
	if p.busy(one) || one.queued {
		return
	}
	one.queued = true
	p.idle = append(p.idle, one)
	p.idleCount++
	for p.idleCount > p.idleLimit {
		p.forgetOldest()
	}
}

func (p *people) busy(one *person) bool { return one.many > 0 || p.sets[one.alone].refs > 0 }

func (p *people) forgetOldest() {
	one := p.idle[0]
	p.idle[0] = nil
	p.idle = p.idle[1:]
	p.idleCount--
	one.queued = false
	if !p.busy(one) {
		p.forget(one)
	}
}

func (p *people) forget(one *person) {
	if p.byID[one.id] == one {
		delete(p.byID, one.id)
	}
	p.late(one.id.pid).pid = 0
	p.dropSet(one.alone)
}

func (p *people) dropSet(id setID) {
	p.sets[id] = ownerSet{}
	p.free = append(p.free, id)
}

func (p *people) newSet(persons []*person) setID {
	s := ownerSet{persons: persons, owners: make([]whose.Owner, len(persons))}
	for i, one := range persons {
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

// know returns the process with these facts, met now or before. What is known
// already stays, unless its name has changed.
func (p *people) know(facts *whose.Process) *person {
	id := processID{facts.PID, facts.StartTime.UnixNano()}
	if one := p.byID[id]; one != nil {
		if one.facts.Comm != facts.Comm {
			p.update(one, facts)
		}
		return one
	}
	fresh := bounded(*facts)
	one := &person{id: id, facts: &fresh}
	one.alone = p.newSet([]*person{one})
	p.byID[id] = one
	p.rest(one)
	return one
}

// update gives a process new facts. Values that were handed out stay as they are.
func (p *people) update(one *person, facts *whose.Process) {
	fresh := bounded(*facts)
	one.facts = &fresh
	p.late(one.id.pid).pid = 0
	p.rebuild(one.alone)
	if one.many > 0 {
		for _, id := range p.multi {
			if slices.Contains(p.sets[id].persons, one) {
				p.rebuild(id)
			}
		}
	}
}

func (p *people) rebuild(id setID) {
	s := &p.sets[id]
	s.owners = make([]whose.Owner, len(s.persons))
	for i, one := range s.persons {
		s.owners[i].Process = one.facts
	}
}

func bounded(f whose.Process) whose.Process {
	f.Comm = cut(f.Comm, maxComm)
	f.Cmdline = cut(f.Cmdline, maxCmdline)
	f.Exe = cut(f.Exe, maxExe)
	return f
}

func cut(s string, n int) string {
	if len(s) > n {
		return strings.Clone(s[:n])
	}
	return s
}

// setOf returns the set of these owners.
func (p *people) setOf(owners []whose.Owner) setID {
	switch len(owners) {
	case 0:
		return 0
	case 1:
		return p.know(owners[0].Process).alone
	}
	persons := make([]*person, 0, len(owners))
	for i := range owners {
		one := p.know(owners[i].Process)
		one.many++ // so that it is not forgotten before the set is made
		persons = append(persons, one)
	}
	defer func(all []*person) {
		for _, one := range all {
			one.many--
			p.rest(one)
		}
	}(slices.Clone(persons))
	return p.setOfPersons(persons)
}

func (p *people) setOfPersons(persons []*person) setID {
	slices.SortFunc(persons, func(a, b *person) int { return a.id.compare(b.id) })
	persons = slices.Compact(persons)
	switch len(persons) {
	case 0:
		return 0
	case 1:
		return persons[0].alone
	}
	key := setKey(persons)
	if id, ok := p.multi[key]; ok {
		return id
	}
	id := p.newSet(persons)
	p.multi[key] = id
	for _, one := range persons {
		one.many++
	}
	return id
}

func (a processID) compare(b processID) int {
	if a.pid != b.pid {
		return int(a.pid) - int(b.pid)
	}
	return int(min(max(a.start-b.start, -1), 1))
}

func setKey(persons []*person) string {
	var b []byte
	for _, one := range persons {
		b = binary.LittleEndian.AppendUint32(b, one.id.pid)
		b = binary.LittleEndian.AppendUint64(b, uint64(one.id.start))
	}
	return string(b)
}

// A latelyNamed is what a record said of a process, and its set.
type latelyNamed struct {
	start uint64
	comm  [16]byte
	pid   uint32
	set   setID
}

// late returns where a process is noted that was named lately.
func (p *people) late(pid uint32) *latelyNamed { return &p.lately[pid%uint32(len(p.lately))] }

// ofTask returns the set of the process that a record names; 0 where it names
// none that is visible.
func (p *people) ofTask(t *bpfevent.Task, start func(ticks uint64) time.Time) setID {
	if t.PID == 0 {
		return 0
	}
	late := p.late(t.PID)
	if late.pid != t.PID || late.start != t.Start || late.comm != t.Comm {
		*late = latelyNamed{start: t.Start, comm: t.Comm, pid: t.PID, set: p.lookUp(t, start(t.Start))}
	}
	return late.set
}

// lookUp returns the set of a process that a record names.
func (p *people) lookUp(t *bpfevent.Task, start time.Time) setID {
	if one := p.byID[processID{t.PID, start.UnixNano()}]; one != nil {
		if comm := commOf(t); string(comm) != one.facts.Comm {
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

// told notes what a record says of a process before or after it is named.
func (p *people) told(t *bpfevent.Task, start time.Time, text, exe []byte) {
	if t.PID == 0 {
		return
	}
	facts := whose.Process{
		PID: t.PID, StartTime: start, Comm: string(commOf(t)), Parent: t.Parent, UID: t.UID,
		Cmdline: joinArgs(text), Exe: string(exe[:min(len(exe), maxExe)]),
	}
	p.describe(t, &facts)
	if one := p.byID[processID{t.PID, start.UnixNano()}]; one != nil {
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
