package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/zabbix"
)

// newZabbix is the command zabbix, whose subcommands are what an agent, a timer
// and an administrator of Zabbix run.
func newZabbix(sh *shell) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "zabbix COMMAND [flags]",
		Short: "give Zabbix one cheap item with everything",
		Long: `What Zabbix needs of a host, from one collection a minute: totals, listeners and
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
			if name := nearest(args[0], names); name != "" {
				return whose.WithHint(err, "did you mean whose zabbix %s?", name)
			}
			return whose.WithHint(err, "the commands are %s", strings.Join(names, ", "))
		},
	}
	cmd.AddCommand(newZabbixGet(sh), newZabbixDiscovery(sh), newZabbixCount(sh), newZabbixSend(sh), newZabbixTemplate(sh))
	for _, c := range cmd.Commands() {
		c.DisableFlagsInUseLine = true
	}
	return cmd
}

// newZabbixTemplate prints a template.
func newZabbixTemplate(sh *shell) *cobra.Command {
	var version string
	var opts zabbix.TemplateOptions
	cmd := &cobra.Command{
		Use:   "template [flags]",
		Short: "print the template to import",
		Long: `Print the template for a version of Zabbix as YAML. It works with that version and with
newer ones. With --trapper its master item waits for what whose zabbix send sends; without, the
server asks the agent for it.`,
		Example: "whose zabbix template --version 7.0 >whose.yaml\tfor Zabbix 7.0 and newer\n" +
			"whose zabbix template --version 6.0 --trapper >whose.yaml\tfor hosts without an agent",
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			text, err := zabbix.Template(version, opts)
			if err != nil {
				return whose.WithHint(&usageError{err}, "--version takes one of %s", strings.Join(zabbix.Versions(), ", "))
			}
			_, err = sh.out.Write(text)
			return writeError(err)
		},
	}
	show := flagGroup{cmd.Flags(), groupShow}
	show.text(&version, "version", "", zabbix.Versions()[0], "VERSION", "for this version of Zabbix: "+strings.Join(zabbix.Versions(), ", "))
	show.boolean(&opts.Trapper, "trapper", "", "for whose zabbix send, without an agent")
	complete(cmd, "version", completeWords(zabbix.Versions()...))
	return cmd
}
