package proc

import (
	"bytes"
	"errors"
	"fmt"
)

// ErrGone reports a process that has exited, or whose number is another's now.
var ErrGone = errors.New("process gone")

// wrapFile adds the parsed file to a parser's error.
func wrapFile(path string, err error) error { return fmt.Errorf("%s: %w", path, err) }

// trimNewline cuts the final newline of a small file.
func trimNewline(b []byte) []byte { return bytes.TrimSuffix(b, []byte("\n")) }
