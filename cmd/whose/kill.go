package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/internal/kill"
	"github.com/seed-44df2ae6/whose/internal/lots"
	"github.com/seed-44df2ae6/whose/internal/proc"
	"github.com/seed-44df2ae6/whose/internal/render"
)

// A killing is the job of whose kill.
type killing struct {
	sh *shell
	question
	display
	process, yes, dry, own bool
	signal                 string
}

func newKill(sh *shell) *cobra.Command {
	k := &killing{sh: sh}
	cmd := &cobra.Command{
		Use:   "kill [flags] filter…",
		Short: "end sessions, or the processes that own them",
		Long: `End the sessions that a filter finds, or with --process their owners. It shows them
and asks first; without a terminal to ask at it wants --yes.

A session ends by the kernel's hand (SOCK_DESTROY): its owner gets the error ECONNABORTED, the
other end a reset. A listener stops listening. A UDP socket without a remote end, a socket that
is bound only and an MPTCP listener cannot be ended so. An MPTCP session loses its paths; its
owner learns of it when net.mptcp.close_timeout is over. A process gets SIGTERM, or --signal.

Sessions are named by their cookies and processes by an open descriptor and their start, so that
nothing that takes their place meanwhile is ended. Left alone are whose itself, the first process
and, without --own, the processes that started this whose (the shell, the terminal, the remote login)
and its sessions.

Ending sessions needs root, or CAP_NET_ADMIN in their network namespaces and CAP_SYS_ADMIN to
enter others; the kernel has to be built with CONFIG_INET_DIAG_DESTROY. Ending processes needs the
right to signal them. A pin gives neither, and is not asked. Each target that did not end is named
with the reason, and the exit status is then 3.`,
		Example: "whose kill remote 203.0.113.9\tend every session with that host\n" +
			"whose kill --dry-run state close_wait and nginx\tshow them alone\n" +
			"whose kill --process --signal HUP listen :8080\ta signal to who listens there\n" +
			"whose kill --yes state time_wait and lport 8080\tfree a port, in a script",
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: completeFilter,
		RunE:              k.run,
	}
	which := flagGroup{cmd.Flags(), groupWhich}
	k.addProtocols(which)
	k.addStates(which)
	k.addNetNS(cmd, which)
	show := flagGroup{cmd.Flags(), groupHow}
	show.boolean(&k.process, "process", "", "end the owners and not the sessions")
	show.text(&k.signal, "signal", "", "TERM", "NAME", "with --process: this signal, by name or number")
	show.boolean(&k.dry, "dry-run", "", "show them, and end nothing")
	show.boolean(&k.yes, "yes", "y", "do not ask")
	show.boolean(&k.own, "own", "", "end the processes that started this whose too")
	complete(cmd, "signal", completeWords("TERM", "HUP", "INT", "QUIT", "KILL", "USR1", "USR2", "STOP", "CONT"))
	return cmd
}

func (k *killing) run(cmd *cobra.Command, words []string) error {
	signal, err := k.settleKill(cmd, words)
	if err != nil {
		return err
	}
	opts, err := k.options(cmd, words)
	if err != nil {
		return err
	}
	opts.Needs = whose.NeedSessions | whose.NeedOwners | whose.NeedCookie | k.needs(opts.Filter)
	answer, err := collect.Collect(cmd.Context(), opts)
	if err != nil {
		return collectError(err)
	}
	sessions, coverage := answer.Append(nil), answer.Coverage
	answer.Close()
	if err := k.conclude(k.sh, len(sessions), &coverage); err != nil {
		return err
	}
	killer, err := kill.Open()
	if err != nil {
		return err
	}
	defer killer.Close()
	var plan *kill.Plan
	if k.process {
		plan = killer.Owners(sessions, signal, k.own)
	} else {
		plan = killer.Sessions(sessions, k.own)
	}
	defer plan.Close()
	return k.carryOut(cmd.Context(), cmd.InOrStdin(), plan)
}

// settleKill checks the flags and returns the signal.
func (k *killing) settleKill(cmd *cobra.Command, words []string) (int, error) {
	if proc.Raised() {
		return 0, whose.WithHint(errors.New("end sessions: whose has more rights here than you, and lends them to nobody for this"),
			"run a whose without capabilities of its file; try sudo")
	}
	if strings.TrimSpace(strings.Join(words, "")) == "" {
		return 0, whose.WithHint(usagef("whose kill needs a filter: the sessions to end"), "whose kill --dry-run FILTER shows them; whose help filter")
	}
	signal, err := kill.ParseSignal(k.signal)
	switch {
	case err != nil:
		return 0, usagef("--signal: %w", err)
	case !k.process && cmd.Flags().Changed("signal"):
		return 0, usagef("--signal: only a process gets a signal; add --process")
	case k.yes && k.dry:
		return 0, usagef("--yes and --dry-run exclude each other")
	case !k.yes && !k.dry && !(isTerminal(k.sh.err) && readsTerminal(cmd.InOrStdin())):
		return 0, whose.WithHint(usagef("whose kill asks before it ends anything, and there is no terminal to ask at"), "--yes ends without asking, --dry-run only shows")
	}
	// The reader of a pin may not end all that it shows: this command asks for itself.
	k.source, k.format = collect.Netlink, render.Table
	return signal, k.settle(cmd, k.sh)
}

// carryOut shows the plan, asks, and carries it out.
func (k *killing) carryOut(ctx context.Context, in io.Reader, plan *kill.Plan) error {
	if err := k.show(plan); err != nil {
		return err
	}
	if len(plan.Targets) == 0 {
		return k.status(k.report(plan.Spared), exitNothing)
	}
	if k.dry {
		k.report(plan.Spared)
		k.sh.remark("%s would end", k.count(len(plan.Targets)))
		return nil
	}
	if !k.yes {
		agreed, err := k.ask(in, len(plan.Targets))
		if err != nil {
			return err
		}
		if !agreed {
			return statusError(exitNothing)
		}
	}
	ended, failed := plan.Run(ctx)
	k.sh.remark("%s ended", k.count(ended))
	return k.status(k.report(failed, plan.Spared), exitFound)
}

// status is the end of the command: of its own where nothing was left that should
// have ended.
func (k *killing) status(left, own int) error {
	switch {
	case left > 0:
		return statusError(exitFailed)
	case own != exitFound:
		return statusError(own)
	}
	return nil
}

// show writes the sessions that would end or, with --process, a line for each
// process.
func (k *killing) show(plan *kill.Plan) error {
	out := bufio.NewWriter(k.sh.out)
	if k.process {
		for i := range plan.Targets {
			t := &plan.Targets[i]
			fmt.Fprintf(out, "%s  %s\n", printable(t.String()), plural(t.Sessions, "session", "sessions"))
		}
		return writeError(out.Flush())
	}
	sessions := make([]whose.Session, len(plan.Targets))
	for i := range plan.Targets {
		sessions[i] = *plan.Targets[i].Session
	}
	if len(sessions) == 0 {
		return nil
	}
	k.shape.OwnNetNS = ownNetNS()
	r, err := render.New(k.format, k.shape)
	if err == nil {
		err = r.Write(out, lots.Slice(sessions), nil)
	}
	return writeError(errors.Join(err, out.Flush()))
}

// count names a number of targets.
func (k *killing) count(n int) string {
	if k.process {
		return plural(n, "process", "processes")
	}
	return plural(n, "session", "sessions")
}

// ask asks at the terminal. Only a clear yes is one.
func (k *killing) ask(in io.Reader, n int) (bool, error) {
	fmt.Fprintf(k.sh.err, "whose: end %s? [y/N] ", k.count(n))
	line, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("read the answer: %w", err)
	}
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return true, nil
	}
	k.sh.remark("nothing ended")
	return false, nil
}

// report names each target that was not ended, with the reason, and returns how many
// there are but for those that ended by themselves.
func (k *killing) report(lists ...[]kill.Failure) int {
	left := 0
	for _, list := range lists {
		for i := range list {
			f := &list[i]
			text := fmt.Sprintf("not ended: %s: %v", f.Target.String(), f.Err)
			if hint := whose.Hint(f.Err); hint != "" {
				text += "; " + hint
			}
			k.sh.say("%s", text)
			if !errors.Is(f.Err, kill.ErrGone) {
				left++
			}
		}
	}
	return left
}
