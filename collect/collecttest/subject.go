package collecttest

import (
	"context"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
)

// A Subject makes one collection: the suite tests it.
type Subject func(ctx context.Context, opts collect.Options) ([]whose.Session, whose.Coverage, error)

// Collect returns the Subject of a collector with the given source.
func Collect(c *collect.Collector, source string) Subject {
	return func(ctx context.Context, opts collect.Options) ([]whose.Session, whose.Coverage, error) {
		opts.Source = source
		answer, err := c.Collect(ctx, &opts)
		if err != nil {
			return nil, whose.Coverage{}, err
		}
		defer answer.Close()
		return answer.Append(nil), answer.Coverage, nil
	}
}

// CollectPinned returns the Subject of the iterators pinned in dir.
func CollectPinned(c *collect.Collector, dir string) Subject {
	bpf := Collect(c, collect.BPF)
	return func(ctx context.Context, opts collect.Options) ([]whose.Session, whose.Coverage, error) {
		opts.PinDir = dir
		return bpf(ctx, opts)
	}
}
