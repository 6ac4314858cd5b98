package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/filter"
)

// newZabbixCount prints one number.
func newZabbixCount(sh *shell) *cobra.Command {
	q := new(zabbixQuestion)
	cmd := &cobra.Command{
		Use:   "count [flags] [filter…]",
		Short: "print how many sessions match, as one number",
		Long: `Print a number and nothing else, for a flexible UserParameter: how many sessions match
the filter. Only what the filter needs is collected. Each such item is a collection of its own,
so this is for a question or two; for many, take the document.

A number that would be wrong is an error, which makes the item not supported and says why:
sessions could not be collected, the time ran out, the filter names a user that this host does not
know, a network namespace may not be entered, or the filter asks for processes and you may not look
into them. --partial counts what is seen all the same; -N self asks for your own namespace alone.

By itself it counts LISTEN, ESTABLISHED and UNCONN. It counts every state with --all, and, as
whose shows them, if the filter names a process, a user, an address, a port or the like, or has a
state in it; "established" beside the others counts those alone. An agent refuses quotes, brackets and $ in what it puts in for $1.`,
		Example: "UserParameter=whose.count[*],/usr/bin/whose zabbix count -- \"$1\"\tin the agent's configuration\n" +
			"whose zabbix count local_port 443 established\tas the item whose.count[local_port 443 established]",
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: completeFilter,
	}
	var partial bool
	cmd.RunE = func(cmd *cobra.Command, words []string) error {
		n, err := q.count(cmd, words, sh, partial)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(sh.out, n)
		return writeError(err)
	}
	q.addFlags(cmd)
	q.past.addFlags(cmd, true)
	flags := flagGroup{cmd.Flags(), groupWhich}
	flags.boolean(&q.all, "all", "a", "every state")
	flags.boolean(&partial, "partial", "", "count what is seen, though processes or namespaces are hidden")
	return cmd
}

// count counts the matching sessions.
func (q *zabbixQuestion) count(cmd *cobra.Command, words []string, sh *shell, partial bool) (int, error) {
	began := time.Now()
	opts, err := q.options(cmd, words)
	if err != nil {
		return 0, err
	}
	if q.past.asked() {
		return q.then(cmd, opts, sh, partial)
	}
	opts.Needs = whose.NeedSessions | filter.Needs(opts.Filter)
	opts.Timeout = q.timeout * 4 / 5
	if q.source == sourceAgent {
		return q.countAgents(cmd.Context(), opts, partial)
	}
	answer, err := within(q.timeout-q.timeout/40, began, func() (*collect.Answer, error) {
		answer, err := collect.Collect(cmd.Context(), opts)
		if err != nil {
			return nil, collectError(err)
		}
		return answer, nil
	})
	if err != nil {
		return 0, err
	}
	return counted(answer.Len(), &answer.Coverage, answer.Doubtful(), partial)
}

// countAgents counts the matching sessions of an agent's live table.
func (q *zabbixQuestion) countAgents(ctx context.Context, opts *collect.Options, partial bool) (int, error) {
	sessions, cov, err := q.fromAgent(ctx, opts, nil)
	if err != nil {
		return 0, err
	}
	return counted(sessions.Len(), &cov, filter.Needs(opts.Filter).Owners(), partial)
}

// counted is a number, or an error where a gap makes it wrong.
func counted(n int, cov *whose.Coverage, doubtful, partial bool) (int, error) {
	if missing := missing(cov.Gaps, doubtful, partial); len(missing) > 0 {
		c := whose.Coverage{Gaps: missing, Processes: cov.Processes}
		return 0, whose.WithHint(errors.New("count sessions: "+c.Missing()), "%s", missing.Hint())
	}
	return n, nil
}

// then counts the matching sessions of the past. A time without a record makes the
// number wrong.
func (q *zabbixQuestion) then(cmd *cobra.Command, opts *collect.Options, sh *shell, partial bool) (int, error) {
	about, err := q.question.then(opts)
	if err != nil {
		return 0, err
	}
	src, err := q.past.open(sh)
	if err != nil {
		return 0, err
	}
	defer src.Close()
	n := 0
	cov, err := src.Sessions(cmd.Context(), about, func(*whose.Session) bool { n++; return true })
	if err != nil {
		return 0, err
	}
	if len(cov.Gaps) > 0 && !partial {
		return 0, fmt.Errorf("count sessions: %s", cov.Missing())
	}
	return n, nil
}

// missing returns the gaps that make the number wrong. Hidden processes do only
// if they might have changed it. With partial, what was seen is the answer, as
// long as the looking came to its end.
func missing(gaps whose.Gaps, doubtful, partial bool) whose.Gaps {
	return slices.DeleteFunc(slices.Clone(gaps), func(g whose.Gap) bool {
		return partial && g.Cause != whose.CauseDeadline || g.Kind == whose.GapProcesses && !doubtful
	})
}

// within returns the result of do, or an error when the time since began is
// over. 0 is no bound.
func within[T any](allowed time.Duration, began time.Time, do func() (T, error)) (T, error) {
	if allowed <= 0 {
		return do()
	}
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1) // nobody waits for a late result
	go func() {
		v, err := do()
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-time.After(time.Until(began.Add(allowed))):
		var none T
		return none, fmt.Errorf("collect sessions: no answer from the kernel within %s", brief(time.Since(began)))
	}
}
