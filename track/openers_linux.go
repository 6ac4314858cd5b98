package track

import "context"

// openers returns the ways to follow sessions, the best first.
func openers() []opener {
	return []opener{
		{SourceBPF, openBPF},
		{SourceNetlink, openNetlink},
		{SourceSnapshot, openSnapshot},
	}
}

// openSnapshot opens nothing: snapshots alone need no source.
func openSnapshot(context.Context, *plan) (kernelSource, error) { return nil, nil }
