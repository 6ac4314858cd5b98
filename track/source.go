package track

import (
	"context"
	"time"

	"github.com/seed-44df2ae6/whose/track/internal/bpfevent"
	"github.com/seed-44df2ae6/whose/track/internal/ledger"
)

// A kernelSource tells what happens to sessions, at once. What it tells may
// come twice; what got lost is counted.
type kernelSource interface {
	// Read calls fn for each record until ctx ends or fn returns an error. The
	// record is valid until fn returns.
	Read(ctx context.Context, fn func(*bpfevent.Record) error) error
	// Losses counts what was lost since the source was opened.
	Losses() (Losses, error)
	// Flows calls fn for each UDP flow that the kernel counts, and no longer
	// counts those for which fn returns true, of which it returns the final
	// counts by calling ended.
	Flows(fn func(*ledger.Flow) (drop bool), ended func(*ledger.Flow)) error
	// Close detaches everything.
	Close() error
}

// A lookingSource reads in looks: after each it tells until when, by the boot
// clock, all has been told.
type lookingSource interface {
	// OnLook has begin called before the records of each look, if there is more
	// than one, and end after them, both by the goroutine that calls Read. It is
	// called before Read.
	OnLook(begin func(), end func(until uint64))
}

// bootNanos is a time of the boot clock as records have it.
func bootNanos(d time.Duration) uint64 { return uint64(max(d, 0)) }
