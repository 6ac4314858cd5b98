//go:build !linux

package collect

// uname returns "".
func uname() string { return "" }
