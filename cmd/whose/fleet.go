package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-44df2ae6/whose"
)

// A fleetJob is the job of a command of whose fleet: it asks the ClickHouse to which the
// agents of many hosts send.
type fleetJob struct {
	sh                         *shell
	url                        string
	ca, cert, key, credentials string
	format                     string
	span                       time.Duration
}

// The work of the commands. Nil in the light program.
var runFleetInit, runFleetStatus func(*fleetJob, context.Context) error

// newFleet is the command fleet.
func newFleet(sh *shell) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "fleet COMMAND [flags]",
		Short: "make and look at the tables of many hosts in ClickHouse",
		Long: `Make the tables in the ClickHouse to which the agents of many hosts send (whose agent --export), and show
which hosts report. docs/fleet.md describes it.`,
		Example: "whose fleet init --fleet https://clickhouse:8443/whose\tmake the tables, or bring them up to date\n" +
			"whose fleet status --fleet https://clickhouse:8443/whose\twhich hosts report, and what they lost",
		Args: noSubcommand,
		RunE: func(*cobra.Command, []string) error {
			return whose.WithHint(usagef("whose fleet: want a command"), "whose fleet init makes the tables, whose fleet status shows which hosts report")
		},
	}
	cmd.AddCommand(newFleetInit(sh), newFleetStatus(sh))
	return cmd
}

func newFleetInit(sh *shell) *cobra.Command {
	j := &fleetJob{sh: sh}
	cmd := &cobra.Command{
		Use:   "init [flags]",
		Short: "make the tables, or bring those of an older version up to date",
		Long: `Make the database, its tables and two roles: one for agents, who may write and not read, one for those who
ask. Tables of an older version are brought up to date. Nothing is removed, and where all is done nothing
happens. The user of ClickHouse who runs it may make databases, tables and roles; without the right to make
roles, or where the server keeps its users in files, the tables are made alone.`,
		Example: "whose fleet init --fleet https://clickhouse:8443/whose --fleet-credentials admin.txt\tmake the tables",
		Args:    noArgs,
		RunE:    j.run(&runFleetInit),
	}
	j.add(cmd)
	return cmd
}

func newFleetStatus(sh *shell) *cobra.Command {
	j := &fleetJob{sh: sh}
	cmd := &cobra.Command{
		Use:   "status [flags]",
		Short: "show which hosts report, and how many flows are known at both ends",
		Long: `Show which hosts report, since when and until when, how far their clocks are ahead, how many events they
lost, and how many TCP flows of the last hour are known at both ends.`,
		Example: "whose fleet status\tof the fleet in $WHOSE_FLEET\n" +
			"whose fleet status -o json --span 24h\tof the last day, for a program",
		Args: noArgs,
		RunE: j.run(&runFleetStatus),
	}
	j.add(cmd)
	f := flagGroup{cmd.Flags(), groupShow}
	f.text(&j.format, "output", "o", "text", "FORMAT", "format: text, json")
	f.duration(&j.span, "span", "", time.Hour, "count flows and losses of this time before now")
	complete(cmd, "output", completeWords("text", "json"))
	return cmd
}

// add adds the flags that say where the fleet is.
func (j *fleetJob) add(cmd *cobra.Command) {
	f := flagGroup{cmd.Flags(), groupFleet}
	f.text(&j.url, "fleet", "", "", "URL", "the ClickHouse of the fleet: https://HOST[:PORT][/DATABASE]")
	f.text(&j.ca, "fleet-ca", "", "", "FILE", "believe servers whose certificates these authorities signed")
	f.text(&j.cert, "fleet-cert", "", "", "FILE", "the certificate by which whose shows who it is")
	f.text(&j.key, "fleet-key", "", "", "FILE", "the key of that certificate")
	f.text(&j.credentials, "fleet-credentials", "", "", "FILE", "USER:PASSWORD or a bearer token is in this file")
	j.sh.giveVariablesTo(cmd, "fleet", "fleet-ca", "fleet-cert", "fleet-key", "fleet-credentials")
}

// run checks the flags and does the work, or hands it over.
func (j *fleetJob) run(work *func(*fleetJob, context.Context) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		if err := j.sh.readVariables(cmd); err != nil {
			return err
		}
		switch {
		case j.url == "":
			return whose.WithHint(usagef("want --fleet URL or WHOSE_FLEET"), "whose %s --fleet https://clickhouse:8443/whose for example", cmd.Parent().Name()+" "+cmd.Name())
		case j.format != "" && j.format != "text" && j.format != "json":
			return unknownFormat(j.format, "text", "json")
		case cmd.Flags().Lookup("span") != nil && j.span < time.Second:
			return usagef("--span: want a second at least, got %s", j.span)
		}
		if *work == nil {
			return j.sh.handOver()
		}
		return (*work)(j, cmd.Context())
	}
}
