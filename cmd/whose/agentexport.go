//go:build whose_agent

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/agent"
	"github.com/seed-44df2ae6/whose/internal/export"
	"github.com/seed-44df2ae6/whose/internal/folder"
	"github.com/seed-44df2ae6/whose/internal/remote"
	"github.com/seed-44df2ae6/whose/internal/render"
	"github.com/seed-44df2ae6/whose/internal/tally"
	"github.com/seed-44df2ae6/whose/track"
)

// An agentExport sends what happens to a receiver.
type agentExport struct {
	spool    *export.Spool
	exporter *agent.Exporter
	sender   *export.Sender
}

// sentFields are the fields of a session in the lines that are sent, beside those that
// every event has.
func sentFields(noCmdline bool) []*whose.Field {
	fields := slices.Clone(render.DefaultEventFields(render.JSONL))
	for _, name := range []string{
		"flow", "exe", "cmdline", "unit", "container", "pod", "script", "rtt", "retrans", "opened", "first_seen", "bytes_sent", "bytes_received",
	} {
		if f := whose.FieldByName(name); !slices.Contains(fields, f) {
			fields = append(fields, f)
		}
	}
	if noCmdline {
		fields = slices.DeleteFunc(fields, func(f *whose.Field) bool { return f.Needs.Has(whose.NeedCmdline) })
	}
	return fields
}

// openSink opens the receiver of the export; nil where nothing is sent. What is wrong with
// its flags is an error; one that is away is none.
func openSink(p *agentPlan) (export.Sink, error) {
	x := p.export
	if x == nil {
		return nil, nil
	}
	sink, err := export.Open(remote.Target{
		URL: x.to, CA: x.ca, Cert: x.cert, Key: x.key, Credentials: x.credentials,
	}, "whose/"+buildVersion().Version)
	if err != nil {
		return nil, usagef("--export: %w", err)
	}
	return sink, nil
}

// openExport opens the spool of a sink.
func (a *agentJob) openExport(p *agentPlan, sink export.Sink, t *track.Tracker, feed *agent.Feed) (*agentExport, error) {
	x := p.export
	fields := sentFields(p.noCmdline)
	if err := folder.Make(filepath.Dir(x.spool), 0o750); err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	spool, err := export.OpenSpool(x.spool, x.size)
	if errors.Is(err, folder.ErrLocked) {
		return nil, whose.WithHint(err, "another agent sends from there; name another folder with --spool")
	}
	if err != nil {
		return nil, err
	}
	report := func(what string) func(error) {
		return func(err error) {
			if err == nil {
				a.sh.say("%s works again", what)
				return
			}
			a.sh.say("%v; it is tried again", err)
		}
	}
	return &agentExport{
		spool: spool,
		exporter: &agent.Exporter{
			Feed: feed, After: feed.Last(), Spool: spool, Host: hostName(p), Began: time.Now(),
			NewEncoder: func() (agent.Encoder, error) {
				r, err := render.NewEvents(render.JSONL, render.EventOptions{Fields: fields})
				if err != nil {
					return nil, err
				}
				return r.Event, nil
			},
			Sessions:  measured(t),
			Listeners: func(context.Context) iter.Seq[*whose.Session] { return pointers(t.Append(nil, listening)) },
			Report:    report("the spool"),
		},
		sender: &export.Sender{Spool: spool, Sink: sink, Report: report("sending to " + sink.String())},
	}, nil
}

// hostName is the name of this host for others, "" if unknown.
func hostName(p *agentPlan) string {
	own, _ := os.Hostname() // without one the field is absent
	return cmp.Or(p.host, own)
}

// measured are the sessions with another side, with their traffic by now.
func measured(t *track.Tracker) func(context.Context) iter.Seq[*whose.Session] {
	return func(ctx context.Context) iter.Seq[*whose.Session] {
		ctx, cancel := context.WithTimeout(ctx, lookWithin)
		defer cancel()
		all, _ := t.Measure(ctx) // what was not read is left out of the lines
		return pointers(all)
	}
}

func pointers(all []whose.Session) iter.Seq[*whose.Session] {
	return func(yield func(*whose.Session) bool) {
		for i := range all {
			if !yield(&all[i]) {
				return
			}
		}
	}
}

// run sends until ctx ends, and writes until the feed does. What is left then waits in
// the spool for the next agent.
func (x *agentExport) run(ctx context.Context) error {
	var sending sync.WaitGroup
	sending.Go(func() { x.sender.Run(ctx) })
	err := x.exporter.Run(context.WithoutCancel(ctx))
	sending.Wait()
	if err = errors.Join(err, x.spool.Close()); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return nil
}

// figures are those of the metrics.
func (x *agentExport) figures() []tally.Figure {
	c := x.spool.Counts()
	all := []tally.Figure{
		{Name: "whose_export_events_total", Value: float64(c.Sent)},
		{Name: "whose_export_spool_bytes", Value: float64(c.Bytes)},
	}
	for _, d := range []struct {
		reason string
		n      uint64
	}{{"full", c.Full}, {"disk", c.Disk}, {"rejected", c.Rejected}} {
		all = append(all, tally.Figure{Name: "whose_export_dropped_total", Values: []string{d.reason}, Value: float64(d.n)})
	}
	if !c.LastSuccess.IsZero() {
		all = append(all, tally.Figure{Name: "whose_export_last_success_timestamp_seconds", Value: float64(c.LastSuccess.Unix())})
	}
	return all
}
