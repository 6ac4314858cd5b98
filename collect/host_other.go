//go:build !linux

package collect

// uname returns "".
func uname() string { return "" }

// runningProcesses returns 0.
func runningProcesses() int { return 0 }

// effectiveCapabilities returns none.
func effectiveCapabilities() uint64 { return 0 }
