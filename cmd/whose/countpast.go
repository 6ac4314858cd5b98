package main

import (
	"github.com/spf13/cobra"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
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
	if err := ask.Per("per", c.per, about.From, about.To); err != nil {
		return flagMistake(err)
	}
	src, err := c.past.open(c.sh)
	if err != nil {
		return err
	}
	defer src.Close()
	steps := tally.NewSteps(by, sums, about.From, about.To, c.per)
	cov, err := src.Sessions(cmd.Context(), about, func(s *whose.Session) bool {
		steps.Add(s)
		return true
	})
	if err != nil {
		return err
	}
	return c.write(steps.Count(c.top), &cov, shape)
}
