//go:build race

package filter

// raceEnabled tells that the race detector is on. Then sync.Pool drops what
// it was given by chance, and regular expressions allocate.
const raceEnabled = true
