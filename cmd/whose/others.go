package main

import (
	"context"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/filter"
)

// A question without a word about states is answered with some of them. A person is
// informed of the sessions in the others, and never that there is none while such
// are left out.

// countOthers has the sessions counted that the states alone leave out, where a
// person reads the answer.
func (q *question) countOthers(sh *shell, opts *collect.Options, forPerson bool) {
	opts.CountOthers = forPerson && isTerminal(sh.err) && opts.States == 0 &&
		filter.DefaultStates(opts.Filter) != whose.AllStates
}

// countRest counts the sessions in all other states where the answer is empty, for
// Options.CountOthers leaves some of these states out.
func (q *question) countRest(ctx context.Context, c *collect.Collector, opts *collect.Options, cov *whose.Coverage) {
	if !opts.CountOthers || cov.Sessions > 0 || cov.OtherStates != (whose.StateCounts{}) {
		return
	}
	rest := *opts
	rest.States, rest.Needs, rest.Sort = whose.AllStates&^whose.DefaultStates, whose.NeedSessions, nil
	answer, err := c.Collect(ctx, &rest)
	if err != nil {
		return // the answer stands without it
	}
	defer answer.Close()
	for s := range answer.Sessions() {
		cov.OtherStates[s.State]++
	}
}

// others says how many sessions the states alone leave out, "" for none.
func (q *question) others(c *whose.Coverage) string {
	text := c.OtherStates.String()
	switch {
	case text == "":
		return ""
	case q.counts:
		return text + " not counted; -a counts them"
	}
	return text + " not shown; -a shows them"
}
