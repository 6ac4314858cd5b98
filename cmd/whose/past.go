package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/history"
	"github.com/seed-44df2ae6/whose/internal/ask"
	"github.com/seed-44df2ae6/whose/internal/lots"
	"github.com/seed-44df2ae6/whose/internal/render"
)

// A past holds the flags of a question about the past. The light command hands such
// a question over to the one that can read history (handover.go).
type past struct {
	at, from, to, dir, socket string
	// named: the directory was named.
	named bool
	// asks: the socket was named, so an agent answers.
	asks bool
	utc  bool
	// now is the time of the command, in the zone of the question.
	now time.Time
}

// defaultHistory is the directory of the history by default.
const defaultHistory = "/var/lib/whose"

// addFlags defines the flags of a question about a span of time and, with moments,
// about a moment.
func (p *past) addFlags(cmd *cobra.Command, moments bool) {
	then := flagGroup{cmd.Flags(), groupThen}
	if moments {
		then.text(&p.at, "at", "", "", "WHEN", "as it was then: 03:12, yesterday 14:00, -1h, 2026-01-31T03:12:00Z")
	}
	then.text(&p.from, "from", "", "", "WHEN", "all that was there at any moment since then")
	then.text(&p.to, "to", "", "", "WHEN", "and until then; now by default")
	then.boolean(&p.utc, "utc", "", "read and show times in UTC, not in the zone of this host")
	then.text(&p.dir, "history", "", defaultHistory, valueDir, "where an agent keeps the past")
	then.text(&p.socket, "socket", "", ask.DefaultSocket, "PATH", "the agent's socket, for --source agent and a past that you may not read")
}

// asked reports whether the question is about the past.
func (p *past) asked() bool { return p.at != "" || p.from != "" || p.to != "" }

// query returns the times of the question.
func (p *past) query() (history.Query, error) {
	var q history.Query
	if p.now.IsZero() {
		p.now = time.Now()
	}
	if p.utc {
		p.now = p.now.UTC()
	}
	times := ask.Times{At: p.at, From: p.from, To: p.to}
	var err error
	q.From, q.To, err = times.Span(p.now)
	return q, flagMistake(err)
}

// open opens the history. The light command does not come back from here.
func (p *past) open(sh *shell) (history.Source, error) {
	zone := time.Local
	if p.utc {
		zone = time.UTC
	}
	if p.asks {
		return p.fromAgent(zone), nil
	}
	if openHistory == nil {
		return nil, sh.handOver()
	}
	dir, err := filepath.Abs(p.dir)
	if err != nil {
		return nil, fmt.Errorf("--history: %w", err)
	}
	src, err := openHistory(dir, zone)
	return p.orAgent(src, err, zone)
}

// then turns the options of a listing into a question about the past.
func (q *question) then(opts *collect.Options) (*history.Query, error) {
	about, err := q.past.query()
	if err != nil {
		return nil, err
	}
	about.Filter, about.Protos, about.Families, about.States = opts.Filter, opts.Protos, opts.Families, opts.States
	about.Env = filter.Env{SelfNetNS: ownNetNS(), Now: q.past.now}
	if about.NetNS, err = pastNetNS(opts.NetNS, about.Env.SelfNetNS); err != nil {
		return nil, err
	}
	// At a moment the listing is the one of that moment.
	if about.States == 0 && about.Moment() {
		about.States = filter.DefaultStates(opts.Filter)
	}
	return &about, nil
}

// pastNetNS makes the choice of -N.
func pastNetNS(choice string, self uint32) (func(uint32, string) bool, error) {
	switch choice {
	case "", "all":
		return nil, nil
	case "self":
		return func(inode uint32, _ string) bool { return inode == self }, nil
	}
	return func(inode uint32, name string) bool { return name == choice || fmt.Sprint(inode) == choice }, nil
}

// asksPast reports whether the question is about the past. Flags that ask the kernel
// have no meaning then.
func (q *question) asksPast(cmd *cobra.Command) (bool, error) {
	changed := func(name string) bool {
		f := cmd.Flags().Lookup(name)
		return f != nil && f.Changed
	}
	q.past.named, q.past.asks = changed("history"), changed("socket")
	if q.past.named && q.past.asks && q.past.asked() {
		return false, usagef("--history and --socket exclude each other: the files, or the agent")
	}
	if !q.past.asked() {
		for _, name := range []string{"utc", "history", "follow"} {
			if f := cmd.Flags().Lookup(name); f != nil && f.Changed {
				return false, whose.WithHint(usagef("--%s: want --at or --from too", name), "--from -1h for example")
			}
		}
		return false, nil
	}
	for _, name := range []string{"source", "proc", "timeout", "watch", "one-owner", "pids", "interval", "buffer", "backlog", "udp-idle", "for"} {
		if f := cmd.Flags().Lookup(name); f != nil && f.Changed {
			return false, usagef("--%s: a question about the past asks no kernel", name)
		}
	}
	return true, nil
}

// showThen shows the past: all of it in memory, in order.
func (l *list) showThen(cmd *cobra.Command, opts *collect.Options) error {
	about, err := l.question.then(opts)
	if err != nil {
		return err
	}
	src, err := l.question.past.open(l.sh)
	if err != nil {
		return err
	}
	defer src.Close()
	var sessions lots.Slice
	cov, err := src.Sessions(cmd.Context(), about, func(s *whose.Session) bool {
		sessions = append(sessions, history.Keep(s))
		return !l.quiet
	})
	if err != nil {
		return err
	}
	history.Sort(sessions, orderBy(l.sortBy))
	if l.quiet {
		return status(len(sessions))
	}
	l.addPastFields(about.Moment())
	l.shape.OwnNetNS = ownNetNS()
	return l.showPast(cmd.Context(), sessions, &cov)
}

func (l *list) showPast(ctx context.Context, sessions lots.Slice, cov *whose.Coverage) error {
	return l.showList(ctx, sessions, sessions, cov)
}

// showList shows sessions, as rows.
func (l *list) showList(ctx context.Context, sessions lots.Slice, rows lots.Sessions, cov *whose.Coverage) error {
	r, err := l.renderer()
	if err != nil {
		return err
	}
	l.learnNames(ctx, sessions)
	if len(sessions) > 0 || !l.forPerson() || !isTerminal(l.sh.out) {
		if err := r.Write(l.sh.out, rows, cov); err != nil {
			return l.failed(err)
		}
	}
	return l.conclude(l.sh, len(sessions), cov)
}

// orderBy reads an order as sortFields returns it.
func orderBy(names []string) []whose.Order {
	orders := make([]whose.Order, 0, len(names))
	for _, name := range names {
		if o, ok := whose.ParseOrder(name); ok {
			orders = append(orders, o)
		}
	}
	return orders
}

// The fields that an answer about the past shows beside those of the present.
var (
	momentFields = []string{"opened", "end"}
	spanFields   = []string{"opened", "duration", "end", "by", "bytes_sent", "bytes_received"}
	allPast      = []string{
		"opened", "closed", "first_seen", "duration", "stood_before", "end", "by", "errno", "bytes_sent", "bytes_received",
		"datagrams_sent", "datagrams_received", "rtt", "retrans", "cmdline", "exe", "unit", "container", "host",
	}
)

// addPastFields adds the fields of lifetimes to those of the format, unless the user
// chose some.
func (l *list) addPastFields(moment bool) {
	if l.fields != "" && l.shape.Fields != nil || l.format == render.Template || l.format == render.PyTCPProcess {
		return
	}
	names := allPast
	if l.forPerson() {
		if names = spanFields; moment {
			names = momentFields
		}
	}
	var more []*whose.Field
	for _, name := range names {
		more = append(more, whose.FieldByName(name))
	}
	if l.forPerson() {
		l.shape.Added = append(more, l.shape.Added...)
		return
	}
	l.shape.Fields = render.DefaultFields(l.format)
	for _, f := range more {
		if !slices.Contains(l.shape.Fields, f) {
			l.shape.Fields = append(l.shape.Fields, f)
		}
	}
}

// environ is the environment for another program, with a variable set.
func environ(name, value string) []string { return append(os.Environ(), name+"="+value) }
