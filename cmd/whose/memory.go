package main

import (
	"runtime"
	"runtime/debug"
)

// The heap of a short-lived command. Most answers are written before a
// megabyte of garbage was made, so below firstCollection nothing is collected
// at all. Above it we are listing hundreds of thousands of sessions, most of
// the heap is alive, and growing by laterGrowth percent between collections
// keeps a million sessions below 400 MB.
const (
	firstCollection = 128 << 20
	laterGrowth     = 40
	// minHeap is what the runtime multiplies by GOGC/100 to get the size of
	// the heap at which it collects for the first time.
	minHeap = 4 << 20
)

// tuneMemory sets the collector's pace, unless the user has set it.
func tuneMemory(getenv func(string) string) {
	if getenv("GOGC") != "" || getenv("GOMEMLIMIT") != "" {
		return
	}
	debug.SetGCPercent(100 * firstCollection / minHeap)
	// The clean-up runs when the first collection finds the marker dead.
	runtime.AddCleanup(new([16]byte), func(percent int) { debug.SetGCPercent(percent) }, laterGrowth)
}

// relaxMemory gives the collector its usual pace, for a command that stays.
func relaxMemory() { debug.SetGCPercent(100) }
