package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/zabbix"
)

// newZabbixDiscovery prints the bare arrays.
func newZabbixDiscovery(sh *shell) *cobra.Command {
	q := new(zabbixQuestion)
	var indent bool
	cmd := &cobra.Command{
		Use:   "discovery [flags] listen|process [filter…]",
		Short: "print the listeners or processes for a discovery rule",
		Long: `Print one array of the document alone, for a discovery rule of one's own: rows of the
macros {#WHOSE.…}, with nothing in them that changes from one collection to the next. The
template needs none of this; it takes them from the document.

Where not all could be collected, or not all have room in what agents pass on, that is an error and
no array: a row that is missing would be taken for one that is gone.`,
		Example: "UserParameter=whose.discovery[*],/usr/bin/whose zabbix discovery -- \"$1\"\tin the agent's configuration\n" +
			"whose zabbix discovery listen tcp\tTCP only",
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: completeWords("listen", "process"),
		RunE: func(cmd *cobra.Command, words []string) error {
			if len(words) == 0 || words[0] != "listen" && words[0] != "process" {
				return usagef("whose zabbix discovery: want listen or process first")
			}
			text, err := discover(cmd, q, words[0], words[1:], indent)
			if err != nil {
				return err
			}
			_, err = sh.out.Write(append(text, '\n'))
			return writeError(err)
		},
	}
	q.addFlags(cmd)
	q.addEphemeral(cmd)
	q.addSocket(cmd)
	flagGroup{cmd.Flags(), groupShow}.boolean(&indent, "indent", "", "on many lines, for people")
	return cmd
}

// discover makes one of the arrays. One without all rows, or larger than agents
// pass on, is an error: Zabbix would take the missing rows for vanished ones.
func discover(cmd *cobra.Command, q *zabbixQuestion, what string, words []string, indent bool) ([]byte, error) {
	job, err := newZabbixJob(cmd, q, words)
	if err != nil {
		return nil, err
	}
	d, err := job.wholeDocument(cmd.Context())
	if err != nil {
		return nil, err
	}
	var text []byte
	if what == "listen" {
		text, err = zabbix.EncodeRows(d.Discovery.Listeners, indent)
	} else {
		text, err = zabbix.EncodeRows(d.Discovery.Processes, indent)
	}
	const hint = "leave some out by a filter, such as: whose zabbix discovery %s not user NAME"
	switch {
	case err != nil:
		return nil, err
	case d.Truncated > 0:
		return nil, whose.WithHint(fmt.Errorf("discover %s: more rows than are kept: %d are left out", what, d.Truncated), hint, what)
	case len(text) > zabbix.MaxSize:
		return nil, whose.WithHint(fmt.Errorf("discover %s: %d KiB, and agents pass on %d KiB", what, len(text)>>10, zabbix.MaxSize>>10), hint, what)
	}
	return text, nil
}

// wholeDocument is document, with an error if it has no discovery.
func (j *zabbixJob) wholeDocument(ctx context.Context) (*zabbix.Document, error) {
	d, err := j.document(ctx)
	switch {
	case err != nil:
		return nil, err
	case j.late:
		return nil, fmt.Errorf("collect sessions: the time allowed, %s, ran out", brief(j.opts.Timeout))
	case d.Discovery.Listeners == nil:
		return nil, fmt.Errorf("discover listeners and processes: %s", d.Gaps)
	}
	return d, nil
}
