package track

import (
	"time"

	"github.com/seed-44df2ae6/whose/internal/bpf"
)

// hostClock is the host's clocks.
type hostClock struct{}

// Now returns the wall clock.
func (hostClock) Now() time.Time { return time.Now() }

// Boot returns the boot clock, which every Linux since 2.6.39 has, as the kernel's
// own: a time namespace does not shift it.
func (hostClock) Boot() time.Duration {
	now, _ := bpf.Boot() // zero where there is none
	return now
}

// After is time.After.
func (hostClock) After(d time.Duration) <-chan time.Time { return time.After(d) }
