package main

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/history"
	"github.com/seed-44df2ae6/whose/internal/ask"
	"github.com/seed-44df2ae6/whose/internal/render"
	"github.com/seed-44df2ae6/whose/internal/tally"
)

// then counts sessions of the past.
func (c *counting) then(cmd *cobra.Command, opts *collect.Options, by, sums []*whose.Field, shape render.Options) error {
	about, err := c.question.then(opts)
	if err != nil {
		return err
	}
	times := ask.Times{From: c.past.from}
	about.From = times.Steps(about.From, c.per)
	if err := ask.Per("per", c.per, about.From, about.To); err != nil {
		return flagMistake(err)
	}
	src, err := c.past.open(c.sh)
	if err != nil {
		return err
	}
	defer src.Close()
	steps := tally.NewSteps(by, sums, about.From, about.To, c.per)
	cov, err := history.Groups(cmd.Context(), src, about, &history.Grouping{Fields: slices.Concat(by, sums), Per: c.per}, steps.AddMany)
	if err != nil {
		return err
	}
	return c.write(steps.Count(c.top), &cov, shape)
}
