package main

import (
	"bufio"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/internal/ask"
	"github.com/seed-44df2ae6/whose/internal/lots"
	"github.com/seed-44df2ae6/whose/internal/render"
	"github.com/seed-44df2ae6/whose/internal/tally"
)

// A counting is the job of whose count.
type counting struct {
	sh *shell
	question
	by, format string
	sum        string
	per        time.Duration
	top        int
	noHeader   bool
}

// countBy are the fields of --by by default.
const countBy = "process,state"

func newCount(sh *shell) *cobra.Command {
	c := &counting{sh: sh}
	c.counts = true
	cmd := &cobra.Command{
		Use:   "count [flags] [filter…]",
		Short: "count sessions by any fields",
		Long: `Count sessions by the values of one or several fields, most first. A session with
several owners is counted once for each owner that differs in the fields asked for; the total
counts every session once. It collects only the facts that the fields and the filter need: counting
by state looks into no process.`,
		Example: "whose count\tby process and state\n" +
			"whose count --by state\tas a summary\n" +
			"whose count --by remote_addr --top 10 nginx\tthe ten that talk to nginx most\n" +
			"whose count --by unit,state -a -o json\tfor a program\n" +
			"whose count --from -24h --by comm,remote_addr --sum bytes_sent,bytes_received --top 20\twho sent most in a day",
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: completeFilter,
		RunE:              c.run,
	}
	c.question.addFlags(cmd)
	show := flagGroup{cmd.Flags(), groupShow}
	show.text(&c.by, "by", "b", countBy, "NAME,…", "count by these fields")
	show.text(&c.sum, "sum", "", "", "NAME,…", "add up these fields, bytes_sent for example; the largest first")
	show.duration(&c.per, "per", "", 0, "of the past: a row for each 1h for example")
	show.number(&c.top, "top", "", "N", "show the N largest groups")
	show.text(&c.format, "output", "o", render.Table, "FORMAT", "format: table, json, jsonl, csv, tsv")
	show.boolean(&c.noHeader, "no-header", "H", "no titles of columns")
	complete(cmd, "by", completeFields(""))
	complete(cmd, "sum", completeFields(""))
	complete(cmd, "output", completeWords(countFormats()...))
	return cmd
}

func countFormats() []string {
	return []string{render.Table, render.JSON, render.JSONL, render.CSV, render.TSV}
}

func (c *counting) run(cmd *cobra.Command, words []string) error {
	opts, err := c.question.options(cmd, words)
	if err != nil {
		return err
	}
	if !slices.Contains(countFormats(), c.format) {
		return unknownFormat(c.format, countFormats()...)
	}
	if c.top < 0 {
		return usagef("--top: want a number of groups, got %d", c.top)
	}
	fields, err := ask.FieldsOnce("by", c.by)
	if err != nil {
		return flagMistake(err)
	}
	sums, err := ask.Sums("sum", c.sum, fields)
	if err != nil {
		return flagMistake(err)
	}
	color, err := colorMode(cmd)
	if err != nil {
		return err
	}
	shape := render.Options{Width: c.sh.width(), Color: c.sh.colored(color, c.sh.out), NoHeader: c.noHeader, ASCII: c.sh.ascii()}
	if c.past.asked() {
		return c.then(cmd, opts, fields, sums, shape)
	}
	if c.per > 0 {
		return whose.WithHint(usagef("--per: want --from too"), "--from -24h --per 1h for example")
	}
	var needs whose.Needs
	for _, f := range append(fields, sums...) {
		needs |= f.Needs
	}
	opts.Needs = whose.NeedSessions | needs
	if c.source == sourceAgent {
		sessions, cov, err := c.fromAgent(cmd.Context(), opts, append(slices.Clone(fields), sums...))
		if err != nil {
			return err
		}
		return c.write(c.count(sessions, fields, sums), &cov, shape)
	}
	c.countOthers(c.sh, opts, c.format == render.Table)
	collector := collect.Open()
	defer collector.Close()
	answer, err := collector.Collect(cmd.Context(), opts)
	if err != nil {
		return collectError(err)
	}
	c.countRest(cmd.Context(), collector, opts, &answer.Coverage)
	return c.write(c.count(answer, fields, sums), &answer.Coverage, shape)
}

// count counts sessions by fields.
func (c *counting) count(sessions lots.Sessions, fields, sums []*whose.Field) *tally.Count {
	counter := tally.NewCounter(fields)
	counter.Sum(sums)
	_ = lots.Feed(sessions, helpers(), func(s *whose.Session) error { // no error but its own
		counter.Add(s.Row())
		return nil
	})
	return counter.Count(c.top)
}

// write writes the groups and ends the command.
func (c *counting) write(count *tally.Count, cov *whose.Coverage, opts render.Options) error {
	out := bufio.NewWriterSize(c.sh.out, outputBuffer)
	if err := render.Counts(out, c.format, count, cov, opts); err != nil {
		return writeError(err)
	}
	if err := out.Flush(); err != nil {
		return writeError(err)
	}
	return c.question.conclude(c.sh, count.Total, cov)
}
