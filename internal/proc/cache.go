package proc

import (
	"sync"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// A Cache keeps what was read of processes from one pass to the next, so that
// a collector that is kept open reads each process once. It is safe for
// concurrent use. What it hands out is never written again.
//
// A process is known by its id and start. Its command line, executable and
// user can still change, when it executes another program; so what was read is
// read again when the name has changed, and at the latest after MaxAge.
type Cache struct {
	// MaxAge is how long what was read is taken as true. Zero: one minute.
	MaxAge time.Duration
	// MaxProcesses bounds how many are kept. Zero: 16,384. Set both before use.
	MaxProcesses int

	fs  *FS
	now func() time.Time

	mu    sync.Mutex
	procs map[processKey]*cached
	pass  uint64
}

type processKey struct {
	pid   uint32
	start uint64
}

type cached struct {
	process whose.Process
	needs   whose.Needs
	read    time.Time
	pass    uint64
}

const (
	defaultMaxAge       = time.Minute
	defaultMaxProcesses = 16 << 10
)

// NewCache returns an empty cache over f.
func NewCache(f *FS) *Cache {
	return &Cache{fs: f, now: time.Now, procs: make(map[processKey]*cached)}
}

// ofProcess are the needs that are facts of processes.
const ofProcess = whose.NeedCmdline | whose.NeedExe | whose.NeedCreds | whose.NeedCgroup

// Get returns the process of a task with at least what the needs ask for. Comm
// is the task's, which is newer than what is kept. Where nothing is asked for
// but the name and the start, nothing is read. ErrGone: it has exited.
func (c *Cache) Get(t source.Task, needs whose.Needs) (*whose.Process, error) {
	needs &= ofProcess
	key := processKey{t.PID, t.Start}
	now := c.now()
	c.mu.Lock()
	if e := c.procs[key]; e != nil && e.needs.Has(needs) && e.process.Comm == commOf(&t) && !c.stale(e, now) {
		e.pass = c.pass
		c.mu.Unlock()
		return &e.process, nil
	}
	c.mu.Unlock()

	p, err := c.load(t, needs)
	if err != nil {
		return nil, err
	}
	e := &cached{process: p, needs: needs, read: now}
	c.mu.Lock()
	defer c.mu.Unlock()
	e.pass = c.pass
	if _, met := c.procs[key]; !met {
		c.makeRoom()
	}
	c.procs[key] = e
	return &e.process, nil
}

// load reads what the needs ask for.
func (c *Cache) load(t source.Task, needs whose.Needs) (whose.Process, error) {
	if needs != 0 {
		p, err := c.fs.Process(t.PID, t.Start, needs)
		p.Comm = commOf(&t)
		return p, err
	}
	return whose.Process{PID: t.PID, StartTime: c.fs.StartTime(t.Start), Comm: commOf(&t)}, nil
}

func (c *Cache) stale(e *cached, now time.Time) bool {
	age := c.MaxAge
	if age == 0 {
		age = defaultMaxAge
	}
	// Name and start alone never change while the process lives.
	return e.needs != 0 && now.Sub(e.read) >= age
}

// makeRoom drops what the last pass did not use, and anything where that is
// not enough.
func (c *Cache) makeRoom() {
	limit := c.MaxProcesses
	if limit == 0 {
		limit = defaultMaxProcesses
	}
	if len(c.procs) < limit {
		return
	}
	for key, e := range c.procs {
		if e.pass < c.pass {
			delete(c.procs, key)
		}
	}
	for key := range c.procs {
		if len(c.procs) < limit {
			break
		}
		delete(c.procs, key)
	}
}

// EndPass drops the processes that were not asked for since the last EndPass.
func (c *Cache) EndPass() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, e := range c.procs {
		if e.pass < c.pass {
			delete(c.procs, key)
		}
	}
	c.pass++
}

// Len returns how many processes are kept.
func (c *Cache) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.procs)
}

// commOf returns the name of a task without its padding.
func commOf(t *source.Task) string {
	n := 0
	for n < len(t.Comm) && t.Comm[n] != 0 {
		n++
	}
	return string(t.Comm[:n])
}
