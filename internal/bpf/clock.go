package bpf

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/seed-44df2ae6/whose/internal/source"
)

// Ticks returns the start of a process, in nanoseconds of the boot clock as
// programs read it, as /proc shows it to this process: in [source.Tick], by the
// clock of our time namespace.
func Ticks(start uint64) uint64 { return (start + uint64(bootOffset())) / uint64(source.Tick) }

// ownOffset is the value of bootOffset.
var ownOffset struct {
	once sync.Once
	is   time.Duration
}

// bootOffset is what our time namespace adds to the boot clock. It is the same as
// long as the process lives: no process with threads enters another.
func bootOffset() time.Duration {
	ownOffset.once.Do(func() { ownOffset.is = readBootOffset() })
	return ownOffset.is
}

func readBootOffset() time.Duration {
	text, err := os.ReadFile("/proc/self/timens_offsets")
	if err != nil {
		return 0 // before Linux 5.6
	}
	// The offsets are of the namespace for children. Ours has no file.
	own, ownErr := os.Readlink("/proc/self/ns/time")
	children, err := os.Readlink("/proc/self/ns/time_for_children")
	if ownErr != nil || err != nil || own != children {
		return 0
	}
	return parseBootOffset(string(text))
}

// clockBoottime is CLOCK_BOOTTIME in text, as kernels before 5.7 name the clock.
const clockBoottime = "7"

// parseBootOffset returns the offset of the boot clock in
// /proc/PID/timens_offsets: lines of a clock's name, seconds and nanoseconds.
func parseBootOffset(text string) time.Duration {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) != 3 || words[0] != "boottime" && words[0] != clockBoottime {
			continue
		}
		seconds, err := strconv.ParseInt(words[1], 10, 64)
		nanos, nanoErr := strconv.ParseInt(words[2], 10, 64)
		if err == nil && nanoErr == nil {
			return time.Duration(seconds)*time.Second + time.Duration(nanos)
		}
	}
	return 0
}
