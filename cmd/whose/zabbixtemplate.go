package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/zabbix"
)

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
