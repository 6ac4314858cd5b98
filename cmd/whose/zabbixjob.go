package main

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/internal/limits"
	"github.com/seed-44df2ae6/whose/internal/lots"
	"github.com/seed-44df2ae6/whose/internal/netns"
	"github.com/seed-44df2ae6/whose/internal/proc"
	"github.com/seed-44df2ae6/whose/internal/tally"
	"github.com/seed-44df2ae6/whose/internal/zabbix"
)

// zabbixNeeds are the facts for the document.
const zabbixNeeds = whose.NeedOwners | whose.NeedDirection | whose.NeedUser | whose.NeedNetNSName |
	whose.NeedCgroup | whose.NeedCreds | whose.NeedContainerNames | whose.NeedSocketGroup

// A zabbixJob makes one document within a time, cut in three. The collector gets
// most of it and then returns the sessions so far. They are counted until
// shortly before the end. At the end there is a document even without any answer
// of the kernel.
type zabbixJob struct {
	opts  *collect.Options
	host  tally.HostOptions
	about zabbix.Options
	// timeout is the whole time, 0 for no bound. began is its beginning.
	timeout time.Duration
	began   time.Time
	// late: the time ran out.
	late bool
	// ask makes the collection. Tests have others.
	ask func(context.Context, *collect.Options) (lots.Sessions, *whose.Coverage, error)
	// unanswered is an error if the question had no answer. Nil: it always has.
	unanswered func(sessions int, c *whose.Coverage) error
}

// newZabbixJob turns flags and filter words into a job. Its time begins now,
// or in a second process with that of the first.
func newZabbixJob(cmd *cobra.Command, q *zabbixQuestion, words []string) (*zabbixJob, error) {
	j := &zabbixJob{began: limits.Began(), timeout: q.timeout, ask: askKernel, unanswered: q.hiddenNetNS}
	opts, err := q.options(cmd, words)
	if err != nil {
		return nil, err
	}
	if q.source == sourceAgent {
		j.ask = q.askAgent
	}
	opts.Needs, opts.States = zabbixNeeds, whose.AllStates
	opts.Timeout = j.timeout * 4 / 5
	opts.ByProcess = true
	j.opts = opts
	j.host.Ephemeral = q.ephemeral
	j.about = zabbix.Options{Version: buildVersion().Version}
	if opts.Proc == "" {
		j.about.NetNSNames = netns.Mounted("/run/netns")
		maps.DeleteFunc(j.about.NetNSNames, func(_ uint32, name string) bool { return proc.IsMadeUp(name) })
	}
	return j, nil
}

// hostOptions adds what the root of procfs shows of the host. It reads files, and
// these may lie on a file system that does not answer.
func (j *zabbixJob) hostOptions() tally.HostOptions {
	o := j.host
	o.NetNS, o.EphemeralPorts = netns.Host(j.opts.Proc), tally.DefaultEphemeralPorts
	if ports, err := proc.EphemeralPorts(j.opts.Proc); err == nil {
		o.EphemeralPorts = ports
	}
	return o
}

// askKernel makes one collection.
func askKernel(ctx context.Context, opts *collect.Options) (lots.Sessions, *whose.Coverage, error) {
	answer, err := collect.Collect(ctx, opts)
	if err != nil {
		return nil, nil, err
	}
	return answer, &answer.Coverage, nil
}

// askAgent takes the live table of an agent.
func (q *zabbixQuestion) askAgent(ctx context.Context, opts *collect.Options) (lots.Sessions, *whose.Coverage, error) {
	sessions, cov, err := q.fromAgent(ctx, opts, nil)
	return sessions, &cov, err
}

// An answer is a document or the reason for none.
type answer struct {
	document *zabbix.Document
	late     bool
	err      error
}

// document makes the document in the given time.
func (j *zabbixJob) document(ctx context.Context) (*zabbix.Document, error) {
	done := make(chan answer, 1) // nobody waits for a late answer
	go func() { done <- j.collected(ctx) }()
	var end <-chan time.Time
	if j.timeout > 0 {
		end = time.After(time.Until(j.by(j.timeout / 40)))
	}
	select {
	case a := <-done:
		j.late = a.late
		return a.document, a.err
	case <-end:
		j.late = true
		return nil, fmt.Errorf("collect sessions: no answer from the kernel within %s", brief(time.Since(j.began)))
	}
}

// by is the end of the time, less spare.
func (j *zabbixJob) by(spare time.Duration) time.Time { return j.began.Add(j.timeout - spare) }

// collected collects and counts. A panic becomes an answer too: nobody else
// would report it.
func (j *zabbixJob) collected(ctx context.Context) (a answer) {
	defer func() {
		if fault := recover(); fault != nil {
			a = answer{err: fmt.Errorf("collect sessions: internal error: %v", fault)}
		}
	}()
	sessions, coverage, err := j.ask(ctx, j.opts)
	if err != nil {
		return answer{err: collectError(err)}
	}
	if j.unanswered != nil {
		if err := j.unanswered(coverage.Sessions, coverage); err != nil {
			return answer{err: err}
		}
	}
	host := tally.NewHost(j.hostOptions())
	const often = 1 << 12
	n := 0
	late := lots.Feed(sessions, helpers(), func(s *whose.Session) error {
		host.Add(s)
		if n++; n%often == 0 && j.timeout > 0 && time.Now().After(j.by(j.timeout/10)) {
			return context.DeadlineExceeded
		}
		return nil
	}) != nil
	d := zabbix.NewDocument(host.Count(), coverage, j.about)
	late = late || coverage.Gaps.HasCause(whose.CauseDeadline)
	if late && d.Discovery.Listeners != nil {
		d.CutShort()
	}
	return answer{document: d, late: late}
}
