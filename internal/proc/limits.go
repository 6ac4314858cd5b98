package proc

import (
	"time"

	"github.com/seed-44df2ae6/whose/internal/source"
)

// Bounds on reading a file: nothing beyond them is of use, and some files are
// written by whoever runs the process.
const (
	// maxStat is more than any /proc/PID/stat: 52 numbers and a name of 64 bytes.
	maxStat = 1536
	// maxStatus is more than the used part of /proc/PID/status, but for the
	// list of groups, which comes after it.
	maxStatus = 4096
	// maxCmdline bounds a command line.
	maxCmdline = 4096
	// maxCgroup bounds /proc/PID/cgroup: a dozen hierarchies with long paths.
	maxCgroup = 64 << 10
	// maxTable bounds tables of the host: mounts, users, /proc/stat.
	maxTable = 16 << 20
)

// startTime returns the time at ticks after boot. In a time namespace a start may
// lie before the boot of its clock: the kernel then shows the negative number of
// nanoseconds, without its sign, in ticks.
func startTime(boot time.Time, ticks uint64) time.Time {
	const (
		most     = uint64(1<<63-1) / uint64(source.Tick) // past any host's uptime
		wrapped  = uint64(1<<64-1) / uint64(source.Tick)
		negative = uint64(10*365*24*time.Hour) / uint64(source.Tick)
	)
	if ticks <= wrapped && ticks > wrapped-negative {
		return boot.Add(-time.Duration(wrapped-ticks+1) * source.Tick)
	}
	return boot.Add(time.Duration(min(ticks, most)) * source.Tick) // a damaged number does not
}
