//go:build !linux

package main

import "io"

// quitKey returns a channel that is never closed: Ctrl-C ends the command.
func quitKey(io.Reader) (quit <-chan struct{}, restore func()) { return nil, func() {} }
