package whose

import (
	"errors"
	"fmt"
	"strings"
)

// ErrUnsupported is what errors.Is finds in every error that says that this
// host, kernel or platform cannot do a thing.
var ErrUnsupported = errors.New("not supported")

// An UnsupportedError says what is not supported and since which kernel it is.
type UnsupportedError struct {
	// What is the missing feature, a noun: "tcp iterator".
	What string
	// Since is the first kernel version that has it, empty where the version
	// is not what decides.
	Since string
	// Err is the cause, nil where there is none to tell.
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

// Is makes errors.Is(err, ErrUnsupported) hold.
func (e *UnsupportedError) Is(target error) bool { return target == ErrUnsupported }

// Unwrap returns the cause.
func (e *UnsupportedError) Unwrap() error { return e.Err }

// A PartialError says that an answer is right as far as it goes, and why it
// does not go further.
type PartialError struct {
	// Gaps are the reasons, never empty.
	Gaps Gaps
	// Processes counts those that were looked into, 0 where that is not known.
	Processes int
}

// Error names the gaps.
func (e *PartialError) Error() string { return "partial answer: " + e.Gaps.describe(e.Processes) }

// A Hinted error also tells what the user can do about it.
type Hinted struct {
	Err  error
	Hint string
}

// Error is that of the error itself; the hint is apart.
func (e *Hinted) Error() string { return e.Err.Error() }

// Unwrap returns the error without its hint.
func (e *Hinted) Unwrap() error { return e.Err }

// Hint returns what the user can do about err, "" where nothing is known.
func Hint(err error) string {
	var h *Hinted
	if errors.As(err, &h) {
		return h.Hint
	}
	return ""
}

// WithHint adds to err what the user can do about it. A nil err stays nil.
func WithHint(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &Hinted{Err: err, Hint: fmt.Sprintf(format, args...)}
}
