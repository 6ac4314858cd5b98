package track

import (
	"time"

	"golang.org/x/sys/unix"
)

// hostClock is the host's clocks.
type hostClock struct{}

// Now returns the wall clock.
func (hostClock) Now() time.Time { return time.Now() }

// Boot returns the boot clock, which every Linux since 2.6.39 has.
func (hostClock) Boot() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// After is time.After.
func (hostClock) After(d time.Duration) <-chan time.Time { return time.After(d) }
