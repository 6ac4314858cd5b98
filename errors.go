package whose

import (
	"errors"
	"fmt"
	"strings"
)

// ErrUnsupported matches every error about a missing ability of this host, kernel
// or platform, by [errors.Is].
var ErrUnsupported = errors.New("not supported")

// An UnsupportedError names a missing feature and the first kernel with it.
type UnsupportedError struct {
	// What is the missing feature, a noun: "tcp iterator".
	What string
	// Since is the first kernel version with the feature. Empty: the version does
	// not decide.
	Since string
	// Err is the cause. Nil: none is known.
	Err error
}

// Error names the feature and the kernel version.
func (e *UnsupportedError) Error() string {
	var b strings.Builder
	b.WriteString(e.What + " not supported")
	if e.Since != "" {
		b.WriteString(" (requires Linux " + e.Since + " or newer)")
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

// Is reports whether target is [ErrUnsupported].
func (e *UnsupportedError) Is(target error) bool { return target == ErrUnsupported }

// Unwrap returns the cause.
func (e *UnsupportedError) Unwrap() error { return e.Err }

// An UnknownError reports a name in a question that this host does not know. The
// answer would be empty, or whole, for want of the name and not of sessions.
type UnknownError struct {
	// What is the kind of thing: "user", "network namespace".
	What string
	// Name is the name as asked for, any bytes.
	Name string
}

// Error names the thing.
func (e *UnknownError) Error() string { return fmt.Sprintf("no %s %q on this host", e.What, e.Name) }

// A PartialError reports the gaps of an answer. The answer itself is right as far
// as it goes.
type PartialError struct {
	// Gaps are the reasons, never empty.
	Gaps Gaps
	// Processes counts the processes read. Zero: unknown.
	Processes int
}

// Error names the gaps.
func (e *PartialError) Error() string { return "partial answer: " + e.Gaps.describe(e.Processes) }

// A Hinted error carries advice for the user. See [WithHint].
type Hinted struct {
	Err  error
	Hint string
}

// Error returns the text of the error without the hint.
func (e *Hinted) Error() string { return e.Err.Error() }

// Unwrap returns the error without its hint.
func (e *Hinted) Unwrap() error { return e.Err }

// Hint returns the advice that [WithHint] added to err, "" for none.
func Hint(err error) string {
	var h *Hinted
	if errors.As(err, &h) {
		return h.Hint
	}
	return ""
}

// WithHint adds advice for the user to err. A nil err stays nil.
func WithHint(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &Hinted{Err: err, Hint: fmt.Sprintf(format, args...)}
}
