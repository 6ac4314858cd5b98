//go:build whose_agent

package main

import (
	"context"
	"io"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/history"
	"github.com/seed-44df2ae6/whose/history/store"
	"github.com/seed-44df2ae6/whose/internal/parquet"
)

// This file links whose-agent's own packages. whose does without them.

func init() {
	openHistory = func(dir string, zone *time.Location) (history.Source, error) { return store.Open(dir, zone) }
	runAgent = (*agentJob).run
	newParquet = func(to io.Writer, fields []*whose.Field) sessionWriter { return parquet.New(to, fields) }
	keeper = &keeping{
		verify: func(dir string) (int, []error, error) { return store.Verify(context.Background(), dir) },
		prune:  func(dir string, l pruneLimits) ([]string, error) { return store.Prune(dir, store.Limits(l)) },
	}
}
