package bpfiter

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/seed-44df2ae6/whose"
)

// The first record of a run says which program it is of. A reader found the
// program by the name of a file, and a name proves nothing.

// A ProgramError reports an iterator that stands where another one belongs: a
// file of a pin under another's name.
type ProgramError struct{ Found, Want string }

// Error names both programs.
func (e *ProgramError) Error() string {
	return fmt.Sprintf("it is %s: want %s", e.Found, e.Want)
}

var (
	// errNoHeader: it ended before the first record.
	errNoHeader = errors.New("no header: not an iterator of whose")
	// errMixedSet: the keys of files that one program gives mean nothing to the
	// other.
	errMixedSet = errors.New("not loaded together with the other pinned iterators")
)

// A setNumber is the number of the set that a Read met first. It is safe for
// concurrent use.
type setNumber struct{ n atomic.Uint64 }

// forget lets the next run be of any set.
func (s *setNumber) forget() { s.n.Store(0) }

// is reports whether n is the number met first.
func (s *setNumber) is(n uint64) bool { return s.n.CompareAndSwap(0, n) || s.n.Load() == n }

// behindHeader returns the records behind the header, which has to name the
// program and the set of the run.
func (r *run) behindHeader(b []byte) ([]byte, error) {
	h, rest, err := cutHeader(b)
	switch {
	case err != nil:
		return nil, err
	case h.program != r.of:
		return nil, whose.WithHint(&ProgramError{Found: h.program.String(), Want: r.of.String()}, "let root run `whose pin` again")
	case !r.set.is(h.set):
		return nil, whose.WithHint(errMixedSet, "let root run `whose pin` again")
	}
	return rest, nil
}

// cutHeader returns the header at the beginning of b, and the rest.
func cutHeader(b []byte) (*headerRecord, []byte, error) {
	kind, body, err := nextRecord(b)
	if err != nil {
		return nil, nil, err
	}
	if kind != recordHeader {
		return nil, nil, errNoHeader
	}
	return as[headerRecord](body), b[len(body):], nil
}
