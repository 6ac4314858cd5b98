package main

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/internal/lots"
)

// settlePIDs checks that nothing else is asked for beside --pids.
func (l *list) settlePIDs(cmd *cobra.Command) error {
	if !l.pids {
		return nil
	}
	for _, other := range []string{"output", "template", "fields", "sort", "quiet", "watch", "resolve"} {
		if cmd.Flags().Changed(other) {
			return usagef("--pids and --%s exclude each other", other)
		}
	}
	return nil
}

// printPIDs writes the owners of the sessions, a PID a line, each once.
func (l *list) printPIDs(ctx context.Context, c *collect.Collector, opts *collect.Options) error {
	opts.Needs = whose.NeedSessions | whose.NeedOwners
	answer, err := c.Collect(ctx, opts)
	if err != nil {
		return collectError(err)
	}
	defer answer.Close()
	return l.writePIDs(answer, &answer.Coverage)
}

func (l *list) writePIDs(answer lots.Sessions, cov *whose.Coverage) error {
	pids := make(map[uint32]bool)
	read := answer.Reader()
	for i := range answer.Len() {
		for _, o := range read(i).Owners {
			pids[o.PID] = true
		}
	}
	out := bufio.NewWriter(l.sh.out)
	for _, pid := range slices.Sorted(maps.Keys(pids)) {
		fmt.Fprintln(out, pid)
	}
	if err := out.Flush(); err != nil {
		return writeError(err)
	}
	if err := l.conclude(l.sh, answer.Len(), cov); err != nil {
		return err
	}
	return status(len(pids))
}
