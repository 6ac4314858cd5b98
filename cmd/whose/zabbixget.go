package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/zabbix"
)

// zabbixTimeout is the time that a document is made in, where nothing is said:
// below the 3 s that agents and servers give an item by themselves.
const zabbixTimeout = 2500 * time.Millisecond

// A zabbixQuestion is what the commands for Zabbix ask for.
type zabbixQuestion struct {
	question
	ephemeral bool
}

// addFlags defines the flags that the commands for Zabbix share.
func (q *zabbixQuestion) addFlags(cmd *cobra.Command) {
	which := flagGroup{cmd.Flags(), groupWhich}
	which.text(&q.netns, "netns", "N", "all", "NETNS", "one network namespace: self, a name or an inode")
	how := flagGroup{cmd.Flags(), groupHow}
	how.duration(&q.timeout, "timeout", "", zabbixTimeout, "give what there is after this time; 0 for no bound")
	how.text(&q.source, "source", "", "auto", "NAME", "ask the kernel by bpf, netlink or procfs")
	how.text(&q.proc, "proc", "", "", "DIR", "another root of procfs, such as /host/proc")
	complete(cmd, "netns", completeNetNS)
	complete(cmd, "source", completeWords("auto", "bpf", "netlink", "procfs"))
	completeDir(cmd, "proc")
}

// addEphemeral defines the flag of the commands that tell of listeners.
func (q *zabbixQuestion) addEphemeral(cmd *cobra.Command) {
	flagGroup{cmd.Flags(), groupWhich}.boolean(&q.ephemeral, "ephemeral", "",
		"discover UDP sockets on ephemeral ports too")
}

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
row of processes, what could not be seen, and two arrays for low-level discovery that hold only
what stays. docs/zabbix.md and docs/schema/whose-zabbix-v1.schema.json describe it.

Whatever happens, it is valid JSON, comes out before --timeout has passed, is shorter than what
agents cut, and the exit status is 0: with stderr, which stays empty, an agent would spoil the
value. What is missing is told in the document ("complete": false, and "reasons"). Only where the
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
	flagGroup{cmd.Flags(), groupShow}.boolean(&g.indent, "indent", "", "on many lines, for people")
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return g.mistaken(flagError(cmd, err))
	})
	return cmd
}

// run prints a document, whatever happens.
func (g *zabbixGet) run(cmd *cobra.Command, words []string) error {
	job, err := newZabbixJob(cmd, &g.zabbixQuestion, words)
	if err != nil {
		return g.mistaken(err)
	}
	d, err := job.document(cmd.Context())
	if err != nil {
		d = failedDocument(err)
	}
	return g.print(d)
}

// mistaken answers a command line that is wrong: an agent gets a document like
// any other, a person sees what is wrong as with all commands.
func (g *zabbixGet) mistaken(err error) error {
	if printed := g.print(failedDocument(err)); printed != nil {
		return printed
	}
	if isTerminal(g.sh.out) {
		return err
	}
	return nil
}

// print writes the document. Where the output does not take it, there is
// nobody to tell but by the exit status.
func (g *zabbixGet) print(d *zabbix.Document) error {
	text, err := d.Encode(zabbix.MaxSize, g.indent)
	if err == nil {
		_, err = g.sh.out.Write(append(text, '\n'))
	}
	if err != nil {
		return statusError(exitFailed)
	}
	return nil
}

// failedDocument is the document of an error.
func failedDocument(err error) *zabbix.Document {
	reasons := []string{oneLine(err)}
	if hint := whose.Hint(err); hint != "" {
		reasons = append(reasons, "hint: "+hint)
	}
	return zabbix.Failed(buildVersion().Version, reasons...)
}

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

Where not all could be collected, that is an error and no array: a row that is missing would be
taken for one that is gone.`,
		Example: "UserParameter=whose.discovery[*],/usr/bin/whose zabbix discovery $1\tin the agent's configuration\n" +
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
	flagGroup{cmd.Flags(), groupShow}.boolean(&indent, "indent", "", "on many lines, for people")
	return cmd
}

// discover makes one of the arrays, within what agents take.
func discover(cmd *cobra.Command, q *zabbixQuestion, what string, words []string, indent bool) ([]byte, error) {
	job, err := newZabbixJob(cmd, q, words)
	if err != nil {
		return nil, err
	}
	d, err := job.wholeDocument(cmd.Context())
	if err != nil {
		return nil, err
	}
	if _, err := d.Encode(zabbix.MaxSize, indent); err != nil { // leaves out what is too much
		return nil, err
	}
	if what == "listen" {
		return zabbix.EncodeRows(d.Discovery.Listeners, indent)
	}
	return zabbix.EncodeRows(d.Discovery.Processes, indent)
}

// wholeDocument is document, with an error where the time ran out.
func (j *zabbixJob) wholeDocument(ctx context.Context) (*zabbix.Document, error) {
	d, err := j.document(ctx)
	if err == nil && j.late {
		err = fmt.Errorf("collect sessions: the time allowed, %s, ran out", brief(j.opts.Timeout))
	}
	return d, err
}
