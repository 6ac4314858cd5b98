//go:build !unix

package main

import "io"

// waitForReader does nothing: a write tells that the reader has gone.
func waitForReader(io.Writer, func()) {}
