//go:build !unix

package spool

import "io"

// AwaitReader does nothing: a write shows that the reader has gone.
func AwaitReader(io.Writer, func()) {}
