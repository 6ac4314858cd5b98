package main

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/internal/lots"
	"github.com/seed-44df2ae6/whose/internal/render"
)

// A list is the main job: it shows the sessions of a question.
type list struct {
	sh *shell
	question
	display
	in      io.Reader
	every   time.Duration
	quiet   bool
	pids    bool
	version bool
	// told: --watch has named the gaps.
	told bool
}

// outputBuffer is the number of bytes written at once.
const outputBuffer = 64 << 10

func newList(sh *shell) *cobra.Command {
	l := &list{sh: sh}
	cmd := &cobra.Command{
		Use:   "whose [flags] [filter…]",
		Short: "list the TCP and UDP sessions of this host and the processes that own them",
		Long: "List the TCP and UDP sessions of this host, in all its network namespaces, " +
			"and the processes that own them.",
		Example: "whose\tevery session, listeners first\n" +
			"whose -l\twho listens, and on what\n" +
			"whose :443\twho is on port 443, at either end\n" +
			"whose nginx and not remote 10.0.0.0/8\twho from elsewhere talks to nginx\n" +
			"whose watch nginx\tits sessions, as they open and close\n" +
			"whose -o jsonl state close_wait\tfor a program: one session a line",
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: completeFilter,
		RunE:              l.run,
	}
	l.question.addFlags(cmd)
	l.display.addFlags(cmd)
	show := flagGroup{cmd.Flags(), groupShow}
	show.duration(&l.every, "watch", "", 0, "show it again and again, every 2s for example")
	show.boolean(&l.quiet, "quiet", "q", "show nothing: only the exit status tells")
	show.boolean(&l.pids, "pids", "", "only the owners' PIDs, one a line")
	flagGroup{cmd.Flags(), groupOther}.boolean(&l.version, "version", "V", "the version")
	return cmd
}

func (l *list) run(cmd *cobra.Command, words []string) error {
	l.in = cmd.InOrStdin()
	if l.version {
		_, err := fmt.Fprintln(l.sh.out, buildVersion())
		return writeError(err)
	}
	opts, err := l.question.options(cmd, words)
	if err != nil {
		return err
	}
	if err := l.display.settle(cmd, l.sh); err != nil {
		return err
	}
	if err := l.settlePIDs(cmd); err != nil {
		return err
	}
	if l.question.past.asked() {
		return l.showThen(cmd, opts)
	}
	opts.Sort = l.sortBy
	if l.source == sourceAgent && (l.every == 0 || l.pids || l.quiet) {
		return l.showAgents(cmd.Context(), opts)
	}
	l.shape.OwnNetNS = ownNetNS() // the number is the same under each procfs
	c := collect.Open()
	defer c.Close()
	switch {
	case l.pids:
		return l.printPIDs(cmd.Context(), c, opts)
	case l.quiet:
		return l.ask(cmd.Context(), c, opts)
	case l.every > 0:
		if l.source == sourceAgent {
			l.knownFields()
		}
		return l.redraw(cmd.Context(), c, opts)
	}
	return l.once(cmd.Context(), c, opts)
}

// once collects and shows the sessions one time.
func (l *list) once(ctx context.Context, c *collect.Collector, opts *collect.Options) error {
	opts.Needs = whose.NeedSessions | l.needs(opts.Filter)
	l.countOthers(l.sh, opts, l.forPerson())
	r, err := l.renderer()
	if err != nil {
		return err
	}
	answer, err := l.collect(ctx, c, opts)
	if err != nil {
		return err
	}
	defer answer.Close()
	l.countRest(ctx, c, opts, &answer.Coverage)
	if answer.Len() > 0 || !l.forPerson() || !isTerminal(l.sh.out) {
		var rows lots.Sessions = answer
		if l.folds() {
			rows = render.Fold(answer)
		}
		if err := r.Write(l.sh.out, rows, &answer.Coverage); err != nil {
			return l.failed(err)
		}
	}
	return l.conclude(l.sh, answer.Len(), &answer.Coverage)
}

// renderer returns the renderer of the format.
func (l *list) renderer() (render.Renderer, error) {
	r, err := render.New(l.format, l.shape)
	if err != nil {
		return nil, &usageError{err}
	}
	return r, nil
}

// ask collects just enough to know whether there is any session. Nearly every host
// has listeners, and these are found first.
func (l *list) ask(ctx context.Context, c *collect.Collector, opts *collect.Options) error {
	opts.Sort, opts.FirstOwner = nil, true
	opts.Needs = whose.NeedSessions
	if l.where == nil && opts.States == 0 && !l.strict {
		listeners := *opts
		listeners.States = whose.SetOf(whose.Listen, whose.Unconn)
		if answer, err := c.Collect(ctx, &listeners); err == nil && answer.Len() > 0 {
			return nil
		}
	}
	answer, err := c.Collect(ctx, opts)
	if err != nil {
		return collectError(err)
	}
	if l.strict && len(answer.Coverage.Gaps) > 0 {
		return statusError(exitPartial)
	}
	if err := l.unanswered(answer.Len(), &answer.Coverage); err != nil {
		return err
	}
	return status(answer.Len())
}

// collect makes one collection. It asks for all names at once, before any is
// shown.
func (l *list) collect(ctx context.Context, c *collect.Collector, opts *collect.Options) (*collect.Answer, error) {
	answer, err := c.Collect(ctx, opts)
	if err != nil {
		return nil, collectError(err)
	}
	l.learnNames(ctx, answer)
	return answer, nil
}

// A pass is one answer of the kernel or of an agent.
type pass struct {
	render.Ends
	cov   *whose.Coverage
	close func()
}

// pass makes one.
func (l *list) pass(ctx context.Context, c *collect.Collector, opts *collect.Options) (*pass, error) {
	if l.source != sourceAgent {
		answer, err := l.collect(ctx, c, opts)
		if err != nil {
			return nil, err
		}
		return &pass{answer, &answer.Coverage, answer.Close}, nil
	}
	sessions, cov, err := l.fromAgent(ctx, opts, l.named)
	if err != nil {
		return nil, err
	}
	l.learnNames(ctx, sessions)
	return &pass{sessions, &cov, func() {}}, nil
}

// learnNames asks for the names of all remote hosts at once.
func (l *list) learnNames(ctx context.Context, sessions lots.Sessions) {
	if l.names == nil {
		return
	}
	remotes := make([]netip.Addr, sessions.Len())
	read := sessions.Reader()
	for i := range remotes {
		remotes[i] = read(i).Remote.Addr()
	}
	l.names.Learn(ctx, remotes)
}
