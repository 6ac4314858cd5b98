package proc

import (
	"bytes"
	"errors"
	"fmt"
)

// ErrGone reports a process that has exited, or whose number is another's now.
var ErrGone = errors.New("process gone")

// ErrNotProcfs reports a root that is no procfs, or one that does not show this
// process.
var ErrNotProcfs = errors.New("no procfs")

// wrapFile adds the parsed file to a parser's error.
func wrapFile(path string, err error) error { return fmt.Errorf("%s: %w", path, err) }

// trimNewline cuts the final newline of a small file.
func trimNewline(b []byte) []byte { return bytes.TrimSuffix(b, []byte("\n")) }
