package proc

// The walk over all processes: how it is parted among workers and put together
// again. One process is read in worker_linux.go, one descriptor in
// descriptors_linux.go, which is the hot loop.

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// A scan is shared by the workers of one walk or listing.
type scan struct {
	fs   *FS
	opt  *WalkOptions
	pids []uint32
	next atomic.Int64 // the place in pids of the next process to look into
	stop atomic.Bool  // the context has ended

	// With opt.FirstOwner: the found slots of opt.Want, and the number not
	// found.
	found     []atomic.Bool
	remaining atomic.Int64
}

// over reports whether the walk has to end.
func (p *scan) over() bool {
	return p.stop.Load() || p.found != nil && p.remaining.Load() == 0
}

// Walk looks into the descriptors of all processes, or of those named by opt,
// and appends its finds to w. It counts in w the processes closed to it, those
// that exited and the like. An error means there is no answer, except the error
// of ctx: w then holds the finds until ctx ended.
//
// It needs nothing for processes of the caller's own user, CAP_SYS_PTRACE for
// others.
func (f *FS) Walk(ctx context.Context, opt WalkOptions, w *Walk) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("walk processes: %w", err)
	}
	p := &scan{fs: f, opt: &opt}
	workers := f.takeWorkers(1)
	defer func() { f.giveWorkers(workers) }()
	if err := p.list(workers[0]); err != nil {
		return err
	}
	if opt.Want != nil && opt.FirstOwner {
		p.found = make([]atomic.Bool, len(opt.Want.slots))
		p.remaining.Store(int64(opt.Want.Len()))
	}
	defer stopOn(ctx, func() { p.stop.Store(true) })()

	workers = append(workers, f.takeWorkers(p.workers()-1)...)
	// The first appends to w at once: its finds need no copy.
	first := workers[0]
	kept := first.holdings
	first.holdings = w.Holdings
	each(workers, func(wk *worker) { wk.walk(p) })
	w.Holdings, first.holdings = first.holdings, kept
	for _, wk := range workers {
		wk.addTo(w)
	}
	p.finish(w, workers)
	if p.stop.Load() {
		return fmt.Errorf("walk processes: %w", ctx.Err())
	}
	return nil
}

// list sets the processes to look into.
func (p *scan) list(wk *worker) error {
	if p.opt.PIDs == nil {
		var err error
		p.pids, err = p.fs.pids(wk.pids[:0], wk.names)
		wk.pids = p.pids
		return err
	}
	p.pids = append(wk.pids[:0], p.opt.PIDs...)
	slices.Sort(p.pids)
	p.pids = slices.Compact(p.pids)
	wk.pids = p.pids
	return nil
}

// workers returns how many shall work: no more than there are processes.
func (p *scan) workers() int {
	n := p.opt.Workers
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	return max(1, min(n, len(p.pids)))
}

// finish adds to w the account of the walk as a whole.
func (p *scan) finish(w *Walk, workers []*worker) {
	w.Early = p.found != nil && p.remaining.Load() == 0
	if w.Denied > 0 {
		w.Gaps.Add(whose.Gap{Kind: whose.GapProcesses, Cause: whose.CausePermission, Count: w.Denied})
	}
	for _, wk := range workers {
		w.Gaps.Add(wk.gaps...)
	}
	if p.opt.PIDs == nil && !w.Early {
		if gap, hidden := p.fs.hidden(); hidden {
			w.Gaps.Add(gap)
		}
	}
	slices.SortFunc(w.NetNS, compareNetNS)
	w.NetNS = slices.CompactFunc(w.NetNS, func(a, b source.NetNSRef) bool { return a.Inode == b.Inode })
}

func compareNetNS(a, b source.NetNSRef) int {
	if a.Inode != b.Inode {
		if a.Inode < b.Inode {
			return -1
		}
		return 1
	}
	return strings.Compare(a.Path, b.Path)
}

// each lets every worker work at once and waits for all.
func each(workers []*worker, work func(*worker)) {
	if len(workers) == 1 {
		work(workers[0])
		return
	}
	var wg sync.WaitGroup
	for _, wk := range workers {
		wg.Go(func() { work(wk) })
	}
	wg.Wait()
}

// takeWorkers returns n workers with their buffers.
func (f *FS) takeWorkers(n int) []*worker {
	f.mu.Lock()
	defer f.mu.Unlock()
	taken := make([]*worker, 0, n+1)
	for range n {
		if last := len(f.workers) - 1; last >= 0 {
			taken = append(taken, f.workers[last])
			f.workers = f.workers[:last]
			continue
		}
		taken = append(taken, newWorker(f))
	}
	return taken
}

// giveWorkers keeps workers for the next walk.
func (f *FS) giveWorkers(workers []*worker) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, wk := range workers {
		wk.reset()
		if len(f.workers) < maxIdle && f.dir >= 0 {
			f.workers = append(f.workers, wk)
		}
	}
}

// maxIdle bounds the workers kept between walks.
const maxIdle = 64
