package collect

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/proc"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// A collector that is kept open reads the facts of a process once, as long as the
// source says that it is as it was: by its start, which no other process of its number
// has, and by its mark. A process may write another command line over its own, which
// nothing shows, so facts are read again after a while.

// knownFor is the time for which facts are believed, and namesFor if the names of
// containers are among them, which an administrator may change.
const (
	knownFor = time.Minute
	namesFor = 5 * time.Second
)

// maxKnown bounds the processes with known facts.
const maxKnown = 1 << 16

// known are facts of processes. The zero value has none. It is safe for concurrent use.
type known struct {
	mu    sync.Mutex
	facts map[proc.ProcessID]knownFacts
	// swept is when those of old were forgotten.
	swept time.Time
}

// knownFacts are the facts of a process with their needs, and its mark before they
// were read.
type knownFacts struct {
	process whose.Process
	needs   whose.Needs
	mark    uint32
	read    time.Time
}

// A knownPass is one collection's use of them.
type knownPass struct {
	*known
	marks []source.Mark
	needs whose.Needs
	now   time.Time
}

// pass begins a collection with the marks of its processes, which it sorts.
func (k *known) pass(marks []source.Mark, needs whose.Needs) knownPass {
	slices.SortFunc(marks, func(a, b source.Mark) int { return cmp.Compare(a.PID, b.PID) })
	p := knownPass{k, marks, needs & source.NeedFacts, time.Now()}
	k.sweep(p.now)
	return p
}

// mark returns the mark of a process, 0 if the source has none.
func (p knownPass) mark(pid uint32) uint32 {
	at, ok := slices.BinarySearchFunc(p.marks, pid, func(m source.Mark, pid uint32) int { return cmp.Compare(m.PID, pid) })
	if !ok {
		return 0
	}
	return p.marks[at].Mark
}

// find returns the facts of a process, nil if they have to be read.
func (p knownPass) find(id proc.ProcessID) *whose.Process {
	mark := p.mark(id.PID)
	if mark == 0 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	f, ok := p.facts[id]
	if !ok || f.mark != mark || !f.needs.Has(p.needs) || p.now.Sub(f.read) >= p.believed() {
		return nil
	}
	return &f.process
}

// believed is the age up to which the facts of the pass are believed.
func (p knownPass) believed() time.Duration {
	if p.needs.Has(whose.NeedContainerNames) {
		return namesFor
	}
	return knownFor
}

// keep notes the facts of a process that were read after its mark, if all are there.
func (p knownPass) keep(id proc.ProcessID, process *whose.Process) {
	mark := p.mark(id.PID)
	if mark == 0 || p.lacks(process) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.facts == nil || len(p.facts) >= maxKnown {
		p.known.facts = make(map[proc.ProcessID]knownFacts)
	}
	p.facts[id] = knownFacts{*process, p.needs, mark, p.now}
}

// lacks reports whether the facts are to be asked for again: of a process without a
// command line, which may be about to get one, or be stuck; and of one whose container
// could not be named, which is a gap of each pass.
func (p knownPass) lacks(process *whose.Process) bool {
	return p.needs.Has(whose.NeedCmdline) && process.Cmdline == "" ||
		p.needs.Has(whose.NeedContainerNames) && process.Container != "" && process.ContainerName == ""
}

// sweep forgets facts too old to be believed, now and then.
func (k *known) sweep(now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now.Sub(k.swept) < knownFor {
		return
	}
	k.swept = now
	for id, f := range k.facts {
		if now.Sub(f.read) >= knownFor {
			delete(k.facts, id)
		}
	}
}
