//go:build !linux

package main

// fileCapabilities are none: this system has no file capabilities.
func fileCapabilities() []string { return []string{} }
