package proc

import (
	"bytes"
	"errors"
	"fmt"
)

// ErrGone says that a process has exited, or that its number is another's now.
var ErrGone = errors.New("process gone")

// wrapFile adds to a parser's error the file that was parsed.
func wrapFile(path string, err error) error { return fmt.Errorf("%s: %w", path, err) }

// trimNewline cuts the newline that ends the content of a small file.
func trimNewline(b []byte) []byte { return bytes.TrimSuffix(b, []byte("\n")) }
