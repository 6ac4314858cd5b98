//go:build !linux

package bpf

// HZ returns 1,000: there are no programs on this system.
func HZ() uint32 { return 1000 }
