package track

import (
	"context"
	"time"

	"github.com/seed-44df2ae6/whose/track/internal/bpfevent"
	"github.com/seed-44df2ae6/whose/track/internal/ledger"
)

// A kernelSource reports the events of sessions at once. A record may come
// twice; losses are counted.
type kernelSource interface {
	// Read calls fn for each record until ctx ends or fn returns an error. The
	// record is valid until fn returns.
	Read(ctx context.Context, fn func(*bpfevent.Record) error) error
	// Losses counts the losses since the source was opened.
	Losses() (Losses, error)
	// Flows calls fn for each UDP flow counted by the kernel. When fn returns
	// true the kernel stops counting the flow, and Flows calls ended with its
	// final counts.
	Flows(fn func(*ledger.Flow) (drop bool), ended func(*ledger.Flow)) error
	// Close detaches everything.
	Close() error
}

// A lookingSource reads in looks. After each it reports the time, by the boot
// clock, up to which its records are complete.
type lookingSource interface {
	// OnLook sets two functions: begin is called before the records of each look,
	// if there is more than one, and end after them, both by the goroutine of
	// Read. OnLook is called before Read.
	OnLook(begin func(), end func(until uint64))
}

// bootNanos returns a time of the boot clock in the form of records.
func bootNanos(d time.Duration) uint64 { return uint64(max(d, 0)) }
