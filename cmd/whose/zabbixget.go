package main

import (
	"encoding/json"
	"errors"

	"github.com/spf13/cobra"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/limits"
	"github.com/seed-44df2ae6/whose/internal/source"
	"github.com/seed-44df2ae6/whose/internal/zabbix"
)

// A zabbixGet is the job of whose zabbix get.
type zabbixGet struct {
	sh *shell
	zabbixQuestion
	indent bool
}

func newZabbixGet(sh *shell) *cobra.Command {
	g := &zabbixGet{sh: sh}
	cmd := &cobra.Command{
		Use:   "get [flags] [filter…]",
		Short: "print the document that the master item takes",
		Long: `Print one JSON document of aggregates: totals by protocol and state, each listener, each
row of processes, the gaps, and two arrays for low-level discovery that hold only lasting facts. docs/zabbix.md and docs/schema/whose-zabbix-v1.schema.json describe it.

Whatever happens, it is valid JSON, comes out before --timeout has passed, is shorter than what
agents cut, and the exit status is 0: with stderr, which stays empty, an agent would spoil the
value. The document itself says if something is missing ("complete": false, and "partial"). Only where the
output is a terminal, a mistake on the command line ends with 2.

Unconnected UDP sockets on ephemeral ports are counted and not discovered, since a resolver opens
thousands of them. With --ephemeral they are, marked by {#WHOSE.EPHEMERAL}.`,
		Example: "UserParameter=whose.get,/usr/bin/whose zabbix get\tin the agent's configuration\n" +
			"whose zabbix get --indent\tfor people\n" +
			"whose zabbix get not port 9100\twithout the sessions of the monitoring itself",
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: completeFilter,
		RunE: func(cmd *cobra.Command, words []string) error {
			return g.run(cmd, words)
		},
	}
	g.addFlags(cmd)
	g.addEphemeral(cmd)
	g.addSocket(cmd)
	flagGroup{cmd.Flags(), groupShow}.boolean(&g.indent, "indent", "", "on many lines, for people")
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return g.mistaken(flagError(cmd, err))
	})
	return cmd
}

// run prints a document in every case.
func (g *zabbixGet) run(cmd *cobra.Command, words []string) error {
	job, err := newZabbixJob(cmd, &g.zabbixQuestion, words)
	if err != nil {
		return g.mistaken(err)
	}
	text, done, err := job.second(g.sh, zabbix.MaxSize, json.Valid)
	switch {
	case done && err != nil:
		return g.print(failedDocument(err))
	case done:
		return g.write(text)
	}
	d, err := job.document(cmd.Context())
	if err != nil {
		d = failedDocument(err)
	}
	return g.print(d)
}

// mistaken answers a wrong command line. An agent gets a document like any
// other; a person sees the error as with all commands.
func (g *zabbixGet) mistaken(err error) error {
	if printed := g.print(failedDocument(err)); printed != nil {
		return printed
	}
	if isTerminal(g.sh.out) {
		return err
	}
	return nil
}

// print writes the document. If the write fails, only the exit status can report
// it.
func (g *zabbixGet) print(d *zabbix.Document) error {
	text, err := d.Encode(zabbix.MaxSize, g.indent)
	if err != nil {
		return statusError(exitFailed)
	}
	return g.write(append(text, '\n'))
}

// write writes the text of a document.
func (g *zabbixGet) write(text []byte) error {
	if _, err := g.sh.out.Write(text); err != nil {
		return statusError(exitFailed)
	}
	return nil
}

// failedDocument is the document of an error.
func failedDocument(err error) *zabbix.Document {
	gap := source.GapOf(whose.GapAnswer, 0, err)
	gap.Detail = oneLine(err)
	var died *limits.DiedError
	if errors.As(err, &died) {
		gap.Cause, gap.Hint = whose.CauseLimit, died.Limit.Hint()
	}
	return zabbix.Failed(buildVersion().Version, gap)
}
