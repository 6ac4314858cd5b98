package bpf

import (
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// HZ returns the number of jiffies in a second, as programs count them: the coarse
// clocks have the resolution of one.
func HZ() uint32 {
	ownHZ.once.Do(func() {
		ownHZ.is = usualHZ
		var tick unix.Timespec
		if err := unix.ClockGetres(unix.CLOCK_MONOTONIC_COARSE, &tick); err == nil && tick.Nano() > 0 {
			ownHZ.is = uint32((int64(time.Second) + tick.Nano()/2) / tick.Nano())
		}
	})
	return ownHZ.is
}

// ownHZ is the value of HZ.
var ownHZ struct {
	once sync.Once
	is   uint32
}

// usualHZ is that of most distributions.
const usualHZ = 250

// Boot returns the boot clock as programs read it (bpf_ktime_get_boot_ns). A time
// namespace shifts the boot clock of its processes, not of programs.
func Boot() (time.Duration, error) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return 0, fmt.Errorf("read boot clock: %w", err)
	}
	return time.Duration(now.Nano()) - bootOffset(), nil
}
