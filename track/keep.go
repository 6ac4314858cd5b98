package track

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/proc"
	"github.com/seed-44df2ae6/whose/internal/source"
	"github.com/seed-44df2ae6/whose/track/internal/ledger"
)

// This file is the periodic work of a tracker. It reports losses and pending
// accepts, ends idle flows, and takes snapshots.

const (
	// lossesEvery is the time between two checks for losses.
	lossesEvery = time.Second
	// baseEvery is the time after which the clocks are related anew.
	baseEvery = time.Minute
	// confirmAfter is the delay of a snapshot that has to confirm another.
	confirmAfter = time.Second
)

// keepTime does the due work until ctx ends.
func (t *Tracker) keepTime(ctx context.Context) {
	flowsEvery := min(max(t.plan.opts.UDPIdle/3, time.Second/10), 10*time.Second)
	losses, base, flows := t.due(lossesEvery), t.due(baseEvery), t.due(flowsEvery)
	for {
		now := t.clock.Boot()
		if now >= base {
			t.setBase()
			t.forgetUsers()
			base = t.due(baseEvery)
		}
		if now >= losses {
			t.tellLosses()
			t.queue.Remind()
			t.learnUsers(ctx)
			t.readGroups(ctx)
			t.noteStuck()
			t.workedAt.Store(int64(t.clock.Boot()))
			losses = t.due(lossesEvery)
		}
		if now >= flows {
			t.endIdle()
			flows = t.due(flowsEvery)
		}
		next := min(losses, flows, t.expire())
		select {
		case <-ctx.Done():
			return
		case <-t.kick:
		case <-t.clock.After(max(next-t.clock.Boot(), time.Millisecond)):
		}
	}
}

// learnUsers asks the host's name services for the users met without a name,
// beside other work. Sessions are named by number until the answer comes.
func (t *Tracker) learnUsers(ctx context.Context) {
	t.mu.Lock()
	uids := t.names.Unnamed()
	t.mu.Unlock()
	if len(uids) == 0 || !t.asking.CompareAndSwap(false, true) {
		return
	}
	t.running.Go(func() {
		defer t.asking.Store(false)
		_, _ = t.fs.LearnUsers(ctx, uids) // who stays without a name is asked for again in a minute
		if slices.ContainsFunc(uids, t.hasName) {
			t.forgetUsers()
		}
	})
}

// hasName reports whether the user has a name.
func (t *Tracker) hasName(uid uint32) bool {
	return t.fs.UserName(uid) != strconv.FormatUint(uint64(uid), 10)
}

// learnUsersOf asks for the users of the first snapshot, before events come.
func (t *Tracker) learnUsersOf(ctx context.Context, sessions []whose.Session) {
	if t.fs == nil || !t.plan.needs.Has(whose.NeedUser) {
		return
	}
	seen := make(map[uint32]bool)
	for i := range sessions {
		seen[sessions[i].UID] = true
	}
	_, _ = t.fs.LearnUsers(ctx, slices.Collect(maps.Keys(seen))) // the snapshot has the gap
}

// forgetUsers drops the names of users, for a new look-up.
func (t *Tracker) forgetUsers() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.names.ForgetUsers()
}

func (t *Tracker) due(after time.Duration) time.Duration { return t.clock.Boot() + after }

// expire emits connections that nobody accepts. It returns the next time to
// call it.
func (t *Tracker) expire() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := t.engine.Expire(bootNanos(t.clock.Boot()))
	if next == 0 {
		return t.due(time.Hour)
	}
	return time.Duration(next)
}

// tellLosses reports the losses since the last report.
func (t *Tracker) tellLosses() {
	var lost Losses
	if t.kernel != nil {
		var err error
		if lost, err = t.kernel.Losses(); err != nil {
			// Counting is part of the promise: without it silence would mean nothing.
			t.queue.End(err)
			return
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	lost.Table, lost.Start = t.engine.Stats().Lost, t.lostAtStart
	news := lost.since(t.told)
	t.told = lost
	for _, l := range news {
		if l.N > 0 {
			t.engine.Lose(l, t.clock.Now(), bootNanos(t.clock.Boot()))
		}
	}
}

// readGroups reads the tree of control groups, where it is needed.
func (t *Tracker) readGroups(ctx context.Context) {
	if t.plan.needs&(whose.NeedCgroup|whose.NeedContainerNames) == 0 {
		return
	}
	groups, err := t.fs.Cgroups(ctx)
	if err != nil {
		return // /proc has the group of each process
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.names.SetGroups(groups)
}

// endIdle ends the flows without a datagram for Options.UDPIdle.
func (t *Tracker) endIdle() {
	if t.kernel == nil {
		return
	}
	t.mu.Lock()
	scan := t.engine.ScanFlows(bootNanos(t.clock.Boot()), bootNanos(t.plan.opts.UDPIdle))
	t.mu.Unlock()
	err := t.kernel.Flows(
		func(f *ledger.Flow) bool {
			t.mu.Lock()
			defer t.mu.Unlock()
			return scan.Idle(f)
		},
		func(f *ledger.Flow) {
			t.mu.Lock()
			defer t.mu.Unlock()
			scan.EndIdle(f)
		})
	if err != nil {
		t.queue.End(err)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	scan.End()
}

// keepReconciling takes snapshots until ctx ends. They use a bounded share of
// one processor, however many sessions there are: a twentieth if they only
// correct, a fifth if there are only snapshots to find opens.
func (t *Tracker) keepReconciling(ctx context.Context) {
	interval, share := t.plan.interval(t.source.Name), time.Duration(20)
	if t.source.Name != SourceBPF {
		share = 5
	}
	wait := interval
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.clock.After(wait):
		}
		took, unsure, err := t.reconcile(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			t.noteGap(err)
		}
		wait = interval
		if unsure {
			wait = min(wait, confirmAfter)
		}
		wait = max(wait, took*share-took)
	}
}

// reconcile takes a snapshot and brings the table in line with it.
func (t *Tracker) reconcile(ctx context.Context) (took time.Duration, unsure bool, err error) {
	began := t.clock.Boot()
	if f, ok := t.kernel.(follower); ok {
		if err := f.Follow(ctx); err != nil {
			return t.clock.Boot() - began, false, err
		}
	}
	seen, err := t.snapshot(ctx, false)
	took = t.clock.Boot() - began
	if err != nil {
		return took, false, err
	}
	defer seen.close()
	cov := seen.coverage
	whole := !cov.Gaps.HasCause(whose.CauseDeadline) && !cov.Gaps.HasKind(whose.GapTables)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stats.Reconciled++
	t.stats.Namespaces = cov.Namespaces
	unsure = t.engine.Reconcile(&ledger.Snapshot{
		Sessions: seen.each, Began: bootNanos(began), Whole: whole, Alone: t.source.Name != SourceBPF,
		Everywhere: (t.plan.opts.NetNS == "" || t.plan.opts.NetNS == "all") && !cov.Gaps.HasKind(whose.GapNamespaces),
	}, bootNanos(t.clock.Boot()))
	return took, unsure, nil
}

// A follower is a source that has to look for new network namespaces.
type follower interface {
	Follow(ctx context.Context) error
}

// noteGap notes that a snapshot failed. The next one is tried all the same.
func (t *Tracker) noteGap(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if errors.Is(err, context.Canceled) {
		return
	}
	if len(t.source.Gaps) < maxGaps {
		t.source.Gaps.Add(source.GapOf(whose.GapSessions, 0, fmt.Errorf("take snapshot: %w", err)))
	}
}

// noteStuck notes the processes whose facts did not come.
func (t *Tracker) noteStuck() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := t.names.Stuck(); n > 0 {
		t.source.Gaps.Add(proc.StuckGap(n))
	}
}

// maxGaps bounds the gaps of a tracker.
const maxGaps = 64
