package bpf

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Boot returns the boot clock as programs read it (bpf_ktime_get_boot_ns). A time
// namespace shifts the boot clock of its processes, not of programs.
func Boot() (time.Duration, error) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return 0, fmt.Errorf("read boot clock: %w", err)
	}
	return time.Duration(now.Nano()) - bootOffset(), nil
}
