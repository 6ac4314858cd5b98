//go:build whose_agent

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/history/store"
	"github.com/seed-44df2ae6/whose/internal/agent"
	"github.com/seed-44df2ae6/whose/internal/bpf"
	"github.com/seed-44df2ae6/whose/internal/burst"
	"github.com/seed-44df2ae6/whose/internal/footprint"
	"github.com/seed-44df2ae6/whose/internal/scrape"
	"github.com/seed-44df2ae6/whose/track"
)

// run follows sessions and keeps them until ctx ends. History that cannot be written
// ends nothing: it is tried again.
func (a *agentJob) run(ctx context.Context, p *agentPlan) error {
	sink, err := openSink(p) // before all that takes its time
	if err != nil {
		return err
	}
	ctx, stop := agentContext(ctx)
	defer stop()
	reloads := make(chan os.Signal, 1)
	signal.Notify(reloads, agentReloads...)
	service := a.sh.newService()
	paced := footprint.Steady(a.sh.getenv)
	needs := agentNeeds(p.noCmdline) | filter.Needs(p.keep)&^(whose.NeedLife|whose.NeedEvent)
	t, err := track.Start(ctx, &track.Options{Source: p.source, Needs: needs, Traffic: p.metrics != ""})
	if err != nil {
		return collectError(err)
	}
	defer closeSoon(t)
	footprint.GiveWay()
	source := t.Source()
	a.sh.say("following %s by %s", plural(t.Count(nil), "session", "sessions"), source.Name)
	if lacks := missed(&source); lacks != "" {
		a.sh.say("%s", lacks)
	}
	var w *store.Writer
	if p.dir != "" {
		if w, err = a.openWriter(ctx, p); err != nil {
			return err
		}
		a.sh.say("keeping history in %s", p.dir)
	}
	feed := agent.NewFeed(agent.Kept, time.Now())
	if w != nil {
		feed.Tap(w.Add)
	}
	var sending *agentExport
	if sink != nil {
		if sending, err = a.openExport(p, sink, t, feed); err != nil {
			return errors.Join(err, closeWriter(w))
		}
		a.sh.say("sending to %s", sink)
	}
	var m *agentMetrics
	if p.metrics != "" {
		if m, err = serveMetrics(ctx, p.metrics, t, w, sending); err != nil {
			return errors.Join(err, closeWriter(w))
		}
		feed.Tap(m.counts.Add)
		a.sh.say("serving metrics at http://%s%s", m.server.Addr(), scrape.Path)
	}
	serving, err := a.serve(ctx, p, t, feed, w)
	if err != nil {
		return errors.Join(err, closeWriter(w))
	}
	service.behind = t.Behind
	service.status = func() string {
		return fmt.Sprintf("following %s by %s", plural(t.Count(nil), "session", "sessions"), source.Name)
	}
	service.reload = func(ctx context.Context) { a.reload(ctx, w, serving) }
	beside, done := context.WithCancel(ctx)
	var besides sync.WaitGroup
	besides.Go(func() { service.run(beside, reloads) })
	besides.Go(func() { burst.GiveBack(beside, paced) })
	if m != nil {
		besides.Go(func() {
			if err := m.run(beside); err != nil {
				a.sh.say("serve metrics: %v", err)
			}
		})
	}
	if sending != nil {
		besides.Go(func() {
			if err := sending.run(beside); err != nil {
				a.sh.say("%v", err)
			}
		})
	}
	err = a.follow(ctx, t, feed, w)
	done()
	besides.Wait()
	return errors.Join(err, serving.close(), closeWriter(w))
}

// reload reads the certificates again, and writes the history out, so that all until
// now can be asked. What is followed goes on meanwhile.
func (a *agentJob) reload(ctx context.Context, w *store.Writer, serving *agentServing) {
	if err := serving.reload(); err != nil {
		a.sh.say("%v", err)
	}
	if w != nil {
		_ = w.Flush(ctx) // it reports, and tries again
	}
	a.sh.say("reloaded")
}

func closeWriter(w *store.Writer) error {
	if w == nil {
		return nil
	}
	return w.Close(context.Background())
}

func (a *agentJob) openWriter(ctx context.Context, p *agentPlan) (*store.Writer, error) {
	opts := store.Options{
		Dir: p.dir, GID: p.gid, Days: p.days, RollupDays: p.rollupDays, Bytes: p.bytes, NoCmdline: p.noCmdline, Host: hostName(p), Boot: bootID(),
		Since: sinceBoot,
		Report: func(err error) {
			if err == nil {
				a.sh.say("history is written again")
				return
			}
			a.sh.say("history: %v; it is tried again", err)
		},
	}
	if p.keep != nil {
		opts.Keep = filter.Compile(p.keep, filter.Env{SelfNetNS: ownNetNS(), Clock: time.Now})
	}
	return store.Create(ctx, opts)
}

// follow hands all events on to the feed. Commits and looks at what stands have a
// goroutine of their own.
func (a *agentJob) follow(ctx context.Context, t *track.Tracker, feed *agent.Feed, w *store.Writer) error {
	ticking := make(chan struct{})
	stop, cancel := context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(ticking)
		if w != nil {
			tick(stop, t, w)
		}
	}()
	err := feed.Run(ctx, t)
	if err == nil {
		err = rest(t, feed)
	}
	cancel()
	<-ticking
	feed.End(err)
	if err != nil {
		return fmt.Errorf("follow sessions: %w", err)
	}
	return nil
}

// rest hands on the events until now.
func rest(t *track.Tracker, feed *agent.Feed) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*patience)
	defer cancel()
	go func() { _ = t.Close() }() // ends the stream; run closes it too
	return feed.Run(ctx, t)
}

// commitEvery is the time between two commits. What ended more than two seconds before a
// kill is to be in the files.
const commitEvery = 500 * time.Millisecond

// tick writes what is due until ctx ends. A look at what stands may take long, and
// commits do not wait for it.
func tick(ctx context.Context, t *track.Tracker, w *store.Writer) {
	var looks sync.WaitGroup
	defer looks.Wait()
	looks.Go(func() {
		every(ctx, reconcileEvery, func() { w.Reconcile(t.Sessions(nil)) })
	})
	whole := context.WithoutCancel(ctx) // a commit that was begun is made
	commit := time.NewTicker(commitEvery)
	defer commit.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-commit.C:
			_ = w.Flush(whole) // it reports, and tries again
		case <-w.Due():
			_ = w.Flush(whole)
		}
	}
}

// every calls fn again and again until ctx ends.
func every(ctx context.Context, span time.Duration, fn func()) {
	ticks := time.NewTicker(span)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
			fn()
		}
	}
}

// sinceBoot is the time since the start of the host.
func sinceBoot() time.Duration {
	d, err := bpf.Boot()
	if err != nil {
		panic(fmt.Sprintf("read the boot clock: %v", err)) // Linux has it
	}
	return d
}

// bootID is the identity of this start of the host, "" if unknown.
func bootID() string {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// agentNeeds are the facts that an agent keeps.
func agentNeeds(noCmdline bool) whose.Needs {
	needs := whose.NeedDefault | whose.NeedExe | whose.NeedCreds | whose.NeedCgroup | whose.NeedContainerNames | whose.NeedTCPInfo | whose.NeedFlow | whose.NeedLife
	if !noCmdline {
		needs |= whose.NeedCmdline
	}
	return needs
}

// reconcileEvery is the time between two looks at all that stands.
const reconcileEvery = 5 * time.Second
