package footprint

import (
	"runtime"
	"runtime/debug"
)

// The heap of a short-lived command. Most answers are written before a megabyte
// of garbage exists, so below firstCollection nothing is collected at all. Above
// it the command lists hundreds of thousands of sessions, and most of the heap
// is alive. Growth by laterGrowth percent between collections keeps a million
// sessions below 400 MB.
const (
	firstCollection = 128 << 20
	laterGrowth     = 40
	// minHeap is the first heap collected by the runtime at GOGC=100. It grows with
	// GOGC.
	minHeap = 4 << 20
)

// ShortLived sets the collector's pace for a command which answers and ends,
// unless the environment sets it (GOGC, GOMEMLIMIT).
func ShortLived(getenv func(string) string) {
	if given(getenv) {
		return
	}
	debug.SetGCPercent(100 * firstCollection / minHeap)
	// The clean-up runs when the first collection finds the marker dead.
	runtime.AddCleanup(new([16]byte), func(percent int) { debug.SetGCPercent(percent) }, laterGrowth)
}

// LongLived sets the pace for a long-lived command, unless the environment sets
// it. The first collection comes as early as in other programs. After it the
// heap grows as with [ShortLived].
func LongLived(getenv func(string) string) {
	if !given(getenv) {
		debug.SetGCPercent(100)
	}
}

func given(getenv func(string) string) bool {
	return getenv("GOGC") != "" || getenv("GOMEMLIMIT") != ""
}

// steadyGrowth is the growth of the heap in percent between two collections.
const steadyGrowth = 50

// Steady sets the pace for a command which runs for weeks beside the work of others,
// unless the environment sets it: its heap grows by half between two collections.
// It reports whether it set it.
func Steady(getenv func(string) string) (set bool) {
	set = !given(getenv)
	if set {
		debug.SetGCPercent(steadyGrowth)
	}
	return set
}
