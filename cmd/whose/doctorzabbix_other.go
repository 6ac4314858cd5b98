//go:build !linux

package main

// fileCapabilities are none: there are no file capabilities.
func fileCapabilities() []string { return []string{} }
