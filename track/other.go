//go:build !linux

package track

import (
	"context"
	"time"

	"github.com/seed-44df2ae6/whose"
)

// hostClock is the host's clock; there is no boot clock on this platform.
type hostClock struct{}

// Now returns the wall clock.
func (hostClock) Now() time.Time { return time.Now() }

// Boot returns 0.
func (hostClock) Boot() time.Duration { return 0 }

// After is time.After.
func (hostClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// Refused returns a [whose.UnsupportedError]: the source "bpf" needs Linux.
func Refused() error { return &whose.UnsupportedError{What: "following sessions on this platform"} }

// openers returns the ways to follow sessions: none on this platform.
func openers() []opener {
	return []opener{{SourceSnapshot, func(context.Context, *plan) (kernelSource, error) {
		return nil, &whose.UnsupportedError{What: "following sessions on this platform"}
	}}}
}
