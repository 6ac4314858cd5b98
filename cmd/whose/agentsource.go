package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/history"
	"github.com/seed-44df2ae6/whose/internal/ask"
	"github.com/seed-44df2ae6/whose/internal/lots"
	"github.com/seed-44df2ae6/whose/internal/render"
	"github.com/seed-44df2ae6/whose/track"
)

// sourceAgent is the source that is an agent's live table: no kernel is asked, and no
// privilege is needed but to ask the agent.
const sourceAgent = "agent"

// asksAgent reports whether the question is for an agent. Flags that are about the
// kernel have no meaning then.
func (q *question) asksAgent(cmd *cobra.Command) (bool, error) {
	if q.source != sourceAgent {
		if f := cmd.Flags().Lookup("socket"); f != nil && f.Changed && !q.past.asked() {
			return false, whose.WithHint(usagef("--socket: want --source agent, or a question about the past"), "whose --source agent --socket %s", q.past.socket)
		}
		return false, nil
	}
	for _, name := range []string{"proc", "pin-dir", "one-owner", "interval", "buffer", "backlog", "udp-idle"} {
		if f := cmd.Flags().Lookup(name); f != nil && f.Changed {
			return false, usagef("--%s: an agent is asked, and no kernel", name)
		}
	}
	return true, nil
}

// toAgent makes a question to an agent of the options.
func toAgent(opts *collect.Options, named []*whose.Field) *ask.Question {
	q := &ask.Question{
		Protos: opts.Protos, Families: opts.Families, States: opts.States, NetNS: opts.NetNS, Self: ownNetNS(), Sort: opts.Sort,
	}
	if opts.Filter != nil {
		q.Filter = opts.Filter.String()
	}
	for _, f := range whose.Fields() {
		if ask.Known(f) && (opts.Needs | whose.NeedDefault).Has(f.Needs) {
			q.Fields = append(q.Fields, f.Name)
		}
	}
	for _, f := range named {
		if !ask.Known(f) {
			q.Fields = append(q.Fields, f.Name) // the answer says that it is missing
		}
	}
	return q
}

// fromAgent asks an agent for sessions, in order.
func (q *question) fromAgent(ctx context.Context, opts *collect.Options, named []*whose.Field) (agentAnswer, whose.Coverage, error) {
	if opts.Timeout > 0 {
		bounded, cancel := context.WithTimeout(ctx, opts.Timeout)
		defer cancel()
		ctx = bounded
	}
	var sessions agentAnswer
	client := ask.Client{Socket: q.past.socket}
	cov, err := client.Sessions(ctx, toAgent(opts, named), func(s *whose.Session) bool {
		sessions.Slice = append(sessions.Slice, *s)
		return true
	})
	return sessions, cov, agentError(err)
}

// agentError is the error of a question to an agent.
func agentError(err error) error {
	var words *ask.AnswerError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &words) && words.Refused():
		return whose.WithHint(usagef("%w", words), "%s", whose.Hint(err))
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("ask the agent: the time allowed ran out")
	}
	return err
}

// An agentAnswer is a list of sessions that knows both ends of a connection.
type agentAnswer struct{ lots.Slice }

// OtherEnds returns the function of [render.Ends].
func (a agentAnswer) OtherEnds() func(i int) int {
	type end struct {
		proto         whose.Proto
		netns         uint32
		local, remote netip.AddrPort
	}
	places := make(map[end]int, len(a.Slice))
	for i := range a.Slice {
		s := &a.Slice[i]
		places[end{s.Proto, s.NetNS, s.Local, s.Remote}] = i
	}
	return func(i int) int {
		s := &a.Slice[i]
		if other, ok := places[end{s.Proto, s.NetNS, s.Remote, s.Local}]; ok && s.HasRemote() && other != i {
			return other
		}
		return -1
	}
}

// showAgents shows the sessions of an agent.
func (l *list) showAgents(ctx context.Context, opts *collect.Options) error {
	opts.Needs = whose.NeedSessions | l.needs(opts.Filter)
	sessions, cov, err := l.fromAgent(ctx, opts, l.named)
	if err != nil {
		return err
	}
	switch {
	case l.pids:
		return l.writePIDs(sessions, &cov)
	case l.quiet:
		if l.strict && len(cov.Gaps) > 0 {
			return statusError(exitPartial)
		}
		return status(sessions.Len())
	}
	l.shape.OwnNetNS = ownNetNS()
	l.knownFields()
	if l.folds() {
		return l.showList(ctx, sessions.Slice, render.Fold(sessions), &cov)
	}
	return l.showList(ctx, sessions.Slice, sessions.Slice, &cov)
}

// knownFields leaves out of the fields by default those that an agent does not know.
func (l *list) knownFields() {
	if l.shape.Fields == nil && (l.format == render.JSON || l.format == render.JSONL) {
		l.shape.Fields = slices.DeleteFunc(render.DefaultFields(l.format), func(f *whose.Field) bool { return !ask.Known(f) })
	}
}

// fromPast opens the history of an agent over its socket.
func (p *past) fromAgent(zone *time.Location) history.Source {
	return &ask.Past{Client: &ask.Client{Socket: p.socket}, Zone: zone}
}

// orAgent returns the history of the agent for one whose files may not be read.
func (p *past) orAgent(src history.Source, err error, zone *time.Location) (history.Source, error) {
	if errors.Is(err, fs.ErrPermission) && !p.named && exists(p.socket) {
		return p.fromAgent(zone), nil
	}
	return src, err
}

// exists reports whether there is something at a path.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// byAgent shows the events of an agent.
func (w *watch) byAgent(cmd *cobra.Command, opts *track.Options) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), stopSignals()...)
	defer stop()
	s := &agentStream{client: ask.Client{Socket: w.past.socket}, again: again{sh: w.sh, socket: w.past.socket}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	defer s.cancel()
	s.about = &ask.Question{
		Protos: opts.Protos, Families: opts.Families, NetNS: opts.NetNS, Self: ownNetNS(), Events: opts.Events,
		Follow: true, Initial: !opts.NoInitial && (opts.Events == 0 || opts.Events.Has(whose.EventStanding)),
	}
	if opts.Filter != nil {
		s.about.Filter = opts.Filter.String()
	}
	for _, f := range whose.Fields() {
		if f.EventKey == "" && f.Of != whose.OfLife && (opts.Needs | whose.NeedDefault).Has(f.Needs) {
			s.about.Fields = append(s.about.Fields, f.Name)
		}
	}
	var health struct {
		Source   string     `json:"source"`
		Partial  whose.Gaps `json:"partial"`
		Sessions int        `json:"sessions"`
	}
	if err := s.client.JSON(ctx, ask.PathHealth, &ask.Question{}, &health); err != nil {
		return agentError(err)
	}
	w.by, w.unseen = sourceAgent, health.Partial
	if w.strict && len(health.Partial) > 0 {
		return &whose.PartialError{Gaps: health.Partial}
	}
	if w.names != nil {
		defer w.names.Close()
	}
	return w.show(ctx, stop, w.named(s))
}
