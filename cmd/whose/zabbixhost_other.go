//go:build !linux

package main

// mountedNetNS names nothing: there are no network namespaces.
func mountedNetNS(string) map[uint32]string { return nil }
