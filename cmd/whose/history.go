package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/history"
	"github.com/seed-44df2ae6/whose/internal/ask"
	"github.com/seed-44df2ae6/whose/internal/render"
)

// A keeping does the work of a store alone.
type keeping struct {
	// verify reads all files whole, and returns the number of their entries and what
	// is wrong with them.
	verify func(dir string) (entries int, faults []error, err error)
	// prune removes old files, and returns their names.
	prune func(dir string, l pruneLimits) ([]string, error)
}

// pruneLimits say what stays: so many days of sessions, and of the counts of each
// minute, and so many bytes; 0 for no bound.
type pruneLimits struct {
	Days, RollupDays int
	Bytes            int64
}

// keeper is the store. Nil in the light program.
var keeper *keeping

// newHistory is the command history.
func newHistory(sh *shell) *cobra.Command {
	var p past
	var format string
	cmd := &cobra.Command{
		Use:   "history [COMMAND] [flags]",
		Short: "show the span, the size and the gaps of the history",
		Long: `Show the span of this host's history, its sessions, its bytes, and the gaps in it. whose agent keeps it;
docs/history.md describes it.`,
		Example: "whose history\tfrom when to when there is a history, and its gaps\n" +
			"whose history verify\tread all of it, and name the broken files\n" +
			"whose history prune --days 7\tkeep a week\n" +
			"whose history export --format parquet > all.parquet\tall of it, for another program",
		Args: noSubcommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if format != "text" && format != "json" {
				return unknownFormat(format, "text", "json")
			}
			p.named, p.asks = cmd.Flags().Changed("history"), cmd.Flags().Changed("socket")
			src, err := p.open(sh)
			if err != nil {
				return err
			}
			defer src.Close()
			o, err := src.Overview(cmd.Context())
			if err != nil {
				return err
			}
			if format == "json" {
				return printJSON(sh.out, o)
			}
			return writeError(writeOverview(sh.out, o))
		},
	}
	f := flagGroup{cmd.PersistentFlags(), groupThen}
	f.text(&p.dir, "history", "", defaultHistory, valueDir, "where an agent keeps the past")
	flagGroup{cmd.Flags(), groupThen}.text(&p.socket, "socket", "", ask.DefaultSocket, "PATH", "ask the agent at this socket")
	flagGroup{cmd.Flags(), groupThen}.boolean(&p.utc, "utc", "", "show times in UTC, not in the zone of this host")
	flagGroup{cmd.Flags(), groupShow}.text(&format, "output", "o", "text", "FORMAT", "format: text, json")
	complete(cmd, "output", completeWords("text", "json"))
	cmd.AddCommand(newHistoryExport(sh, &p), newHistoryVerify(sh, &p), newHistoryPrune(sh, &p))
	return cmd
}

// noSubcommand refuses a word other than a subcommand.
func noSubcommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	names := commandNames(cmd)
	return whose.WithHint(usagef("whose %s: no command %q", cmd.Name(), args[0]), "the commands are %s", strings.Join(names, ", "))
}

// writeOverview writes an overview for a person.
func writeOverview(w io.Writer, o *history.Overview) error {
	const layout = "2006-01-02 15:04:05 MST"
	host := ""
	if o.Host != "" {
		host = " of " + printable(o.Host)
	}
	_, err := fmt.Fprintf(w, "history%s from %s to %s (%s)\n%s ended, %d stand at its end, %s in %s\n", host,
		o.From.Format(layout), o.To.Format(layout), o.To.Sub(o.From).Round(time.Second),
		plural(o.Sessions, "session", "sessions"), o.Live, render.SizeText(uint64(o.Bytes)), plural(o.Files, "file", "files"))
	if r := o.Rollup; r != nil && err == nil {
		_, err = fmt.Fprintf(w, "counts of each minute since %s, %s of it\n", r.From.Format(layout), render.SizeText(uint64(r.Bytes)))
	}
	for _, g := range o.Gaps {
		if err == nil {
			_, err = fmt.Fprintf(w, "%s\n", printable(g.String()))
		}
	}
	return err
}

func newHistoryVerify(sh *shell, p *past) *cobra.Command {
	return &cobra.Command{
		Use:   "verify [flags]",
		Short: "read all of the history, and name the broken files",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			if keeper == nil {
				return sh.handOver()
			}
			entries, faults, err := keeper.verify(p.dir)
			if err != nil {
				return err
			}
			for _, fault := range faults {
				sh.say("%v", fault)
			}
			if len(faults) > 0 {
				return fmt.Errorf("verify history: %s", plural(len(faults), "file is broken", "files are broken"))
			}
			_, err = fmt.Fprintf(sh.out, "%s, nothing broken\n", plural(entries, "entry", "entries"))
			return writeError(err)
		},
	}
}

func newHistoryPrune(sh *shell, p *past) *cobra.Command {
	var l pruneLimits
	var size string
	cmd := &cobra.Command{
		Use:   "prune [flags]",
		Short: "remove old history",
		Long: `Remove the files of the history that are older than --days, the counts of each minute that are older than
--rollup-days, and the oldest files until the rest has at most --bytes. The file that is written now stays, and
the counts outlive the sessions. An agent does the same by itself, by its own flags.`,
		Example: "sudo whose history prune --days 7\tkeep a week\nsudo whose history prune --bytes 500MB\tkeep so much",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			if l.Days <= 0 && l.RollupDays <= 0 && size == "" {
				return whose.WithHint(usagef("whose history prune: want --days, --rollup-days or --bytes"), "whose history prune --days 7 for example")
			}
			if size != "" {
				var err error
				if l.Bytes, err = parseSize(size); err != nil {
					return usagef("--bytes: %w", err)
				}
			}
			if keeper == nil {
				return sh.handOver()
			}
			l.Days, l.RollupDays = max(l.Days, 0), max(l.RollupDays, 0)
			removed, err := keeper.prune(p.dir, l)
			for _, name := range removed {
				fmt.Fprintln(sh.noted(), "removed "+name)
			}
			return err
		},
	}
	f := flagGroup{cmd.Flags(), groupThen}
	f.number(&l.Days, "days", "", "N", "keep this many days")
	f.number(&l.RollupDays, "rollup-days", "", "N", "keep the counts of each minute this many days")
	f.text(&size, "bytes", "", "", "SIZE", "remove the oldest beyond this size, 500MB for example")
	return cmd
}
