package main

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/internal/netns"
	"github.com/seed-44df2ae6/whose/internal/proc"
	"github.com/seed-44df2ae6/whose/internal/tally"
	"github.com/seed-44df2ae6/whose/internal/zabbix"
)

// zabbixNeeds are the facts that the document is made of.
const zabbixNeeds = whose.NeedOwners | whose.NeedDirection | whose.NeedUser | whose.NeedNetNSName |
	whose.NeedCgroup | whose.NeedCreds

// A zabbixJob makes one document within a time. The time is cut in three: the
// collector gets most of it and then returns the sessions it has, they are counted
// until shortly before the end, and at the end there is a document even if the
// kernel does not answer at all.
type zabbixJob struct {
	opts  *collect.Options
	host  tally.HostOptions
	about zabbix.Options
	// timeout is the whole time, 0 for no bound; began is when it began.
	timeout time.Duration
	began   time.Time
	// late says that the time ran out.
	late bool
	// ask makes the collection; tests have others.
	ask func(context.Context, *collect.Options) (iter.Seq[whose.Session], *whose.Coverage, error)
}

// newZabbixJob turns flags and filter words into a job. Its time begins now.
func newZabbixJob(cmd *cobra.Command, q *zabbixQuestion, words []string) (*zabbixJob, error) {
	j := &zabbixJob{began: time.Now(), timeout: q.timeout, ask: askKernel}
	opts, err := q.options(cmd, words)
	if err != nil {
		return nil, err
	}
	opts.Needs, opts.States = zabbixNeeds, whose.AllStates
	opts.Timeout = j.timeout * 4 / 5
	j.opts = opts
	ports, err := proc.EphemeralPorts(opts.Proc)
	if err != nil {
		ports = tally.DefaultEphemeralPorts
	}
	j.host = tally.HostOptions{NetNS: netns.Host(opts.Proc), EphemeralPorts: ports, Ephemeral: q.ephemeral}
	j.about = zabbix.Options{Version: buildVersion().Version}
	if opts.Proc == "" {
		j.about.NetNSNames = netns.Mounted("/run/netns")
	}
	return j, nil
}

// askKernel makes one collection.
func askKernel(ctx context.Context, opts *collect.Options) (iter.Seq[whose.Session], *whose.Coverage, error) {
	answer, err := collect.Collect(ctx, opts)
	if err != nil {
		return nil, nil, err
	}
	return answer.Sessions(), &answer.Coverage, nil
}

// An answer is a document or why there is none.
type answer struct {
	document *zabbix.Document
	late     bool
	err      error
}

// document makes the document in the time that there is.
func (j *zabbixJob) document(ctx context.Context) (*zabbix.Document, error) {
	done := make(chan answer, 1) // a late answer finds nobody waiting
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

// by is the end of the time, with some of it to spare.
func (j *zabbixJob) by(spare time.Duration) time.Time { return j.began.Add(j.timeout - spare) }

// collected collects and adds up. A panic is an answer as well: nobody else
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
	host := tally.NewHost(j.host)
	const often = 1 << 12
	n, late := 0, false
	for s := range sessions {
		host.Add(&s)
		if n++; n%often == 0 && j.timeout > 0 && time.Now().After(j.by(j.timeout/10)) {
			late = true
			break
		}
	}
	d := zabbix.NewDocument(host.Count(), coverage, j.about)
	late = late || coverage.Gaps.HasCause(whose.CauseDeadline)
	if late && d.Discovery.Listeners != nil {
		d.CutShort()
	}
	return answer{document: d, late: late}
}
