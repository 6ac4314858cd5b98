package main

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/internal/ask"
)

// zabbixTimeout is the default of --timeout: below the default 3 s of agents and
// servers for an item.
const zabbixTimeout = 2500 * time.Millisecond

// A zabbixQuestion chooses the sessions for the commands of Zabbix.
type zabbixQuestion struct {
	question
	ephemeral bool
}

// addFlags defines the common flags of the commands for Zabbix.
func (q *zabbixQuestion) addFlags(cmd *cobra.Command) {
	which := flagGroup{cmd.Flags(), groupWhich}
	q.addNetNS(cmd, which)
	how := flagGroup{cmd.Flags(), groupHow}
	how.duration(&q.timeout, "timeout", "", zabbixTimeout, "answer by this time, with a gap for the rest")
	how.text(&q.source, "source", "", "auto", "NAME", "ask the kernel by bpf, netlink or procfs; or an agent")
	how.text(&q.proc, "proc", "", "", valueDir, "another root of procfs, such as /host/proc")
	complete(cmd, "source", completeWords(append(collect.SourceNames(), sourceAgent)...))
}

// addSocket defines the flag of the agent's socket, for commands without a past.
func (q *zabbixQuestion) addSocket(cmd *cobra.Command) {
	flagGroup{cmd.Flags(), groupHow}.text(&q.past.socket, "socket", "", ask.DefaultSocket, "PATH", "the agent's socket, for --source agent")
}

// addEphemeral defines the flag of commands with listeners in their output.
func (q *zabbixQuestion) addEphemeral(cmd *cobra.Command) {
	flagGroup{cmd.Flags(), groupWhich}.boolean(&q.ephemeral, "ephemeral", "",
		"discover UDP sockets on ephemeral ports too")
}

// newZabbix is the command zabbix. Agents, timers and administrators of Zabbix run
// its subcommands.
func newZabbix(sh *shell) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "zabbix COMMAND [flags]",
		Short: "give Zabbix one cheap item with everything",
		Long: `The figures of a host for Zabbix, from one collection a minute: totals, listeners and
processes with their counts as one JSON document (get), which the template (template) takes
apart into discovered items, triggers and graphs. whose doctor --zabbix says what works here.`,
		Example: "whose zabbix get\tthe document, as a UserParameter\n" +
			"whose zabbix template --version 7.0\tthe template to import\n" +
			"sudo -u zabbix whose doctor --zabbix\twhat works for the agent, and what is missing",
		RunE: func(cmd *cobra.Command, args []string) error {
			names := commandNames(cmd)
			if len(args) == 0 {
				return whose.WithHint(usagef("whose zabbix: a command is missing"), "the commands are %s", strings.Join(names, ", "))
			}
			err := usagef("whose zabbix: no command %q", args[0])
			if name := ask.Nearest(args[0], names); name != "" {
				return whose.WithHint(err, "did you mean whose zabbix %s?", name)
			}
			return whose.WithHint(err, "the commands are %s", strings.Join(names, ", "))
		},
	}
	cmd.AddCommand(newZabbixGet(sh), newZabbixDiscovery(sh), newZabbixCount(sh), newZabbixSend(sh), newZabbixTemplate(sh))
	return cmd
}
