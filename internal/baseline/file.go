package baseline

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/seed-44df2ae6/whose"
)

// Version is the version of the files. It rises when a key changes its meaning.
const Version = 1

// maxLine bounds a line of a file. A name of a workload has at most some 4 KiB.
const maxLine = 64 << 10

// ErrNoBaseline: a file is none of a baseline.
var ErrNoBaseline = errors.New("no baseline")

// A Head is the first line of a file: how the listing was made, so that the next one
// is made alike.
type Head struct {
	// Version comes first, so that a file is known by it.
	Version int       `json:"whose_baseline"`
	Host    string    `json:"host,omitempty"`
	Taken   time.Time `json:"taken"`
	// Filter is the text of the filter, "" for all.
	Filter string `json:"filter,omitempty"`
	Calls  bool   `json:"calls,omitempty"`
	Bits4  int    `json:"bits4,omitempty"`
	Bits6  int    `json:"bits6,omitempty"`
	// Partial says what the listing did not see, "" for nothing.
	Partial string `json:"partial,omitempty"`
}

// A line is an entry in a file and in JSON.
type line struct {
	Kind     string `json:"kind"`
	Workload string `json:"workload,omitempty"`
	User     string `json:"user,omitempty"`
	Proto    string `json:"proto"`
	Exposure string `json:"exposure,omitempty"`
	Remote   string `json:"remote,omitempty"`
	// Port is absent where the kernel chose it.
	Port uint16 `json:"port,omitempty"`
}

func (e Entry) line() line {
	return line{e.Kind.String(), e.Workload, e.User, e.Proto.String(), e.Exposure.String(), e.Remote, e.Port}
}

// MarshalJSON writes the entry as a line of a file has it.
func (e Entry) MarshalJSON() ([]byte, error) { return json.Marshal(e.line()) }

// UnmarshalJSON reads it.
func (e *Entry) UnmarshalJSON(text []byte) error {
	var l line
	if err := json.Unmarshal(text, &l); err != nil {
		return err
	}
	*e = Entry{Workload: l.Workload, User: l.User, Remote: l.Remote, Port: l.Port}
	switch l.Kind {
	case "listen":
		e.Kind = Listen
	case "call":
		e.Kind = Call
	default:
		return fmt.Errorf("kind: %q: want listen or call", l.Kind)
	}
	e.Proto = whose.Proto(whose.FieldByName("proto").CodeOf(l.Proto))
	if e.Proto == 0 {
		return fmt.Errorf("proto: %q: no protocol", l.Proto)
	}
	e.Exposure = whose.Exposure(whose.FieldByName("exposure").CodeOf(l.Exposure))
	if (e.Exposure == 0) != (l.Exposure == "") {
		return fmt.Errorf("exposure: %q: no exposure", l.Exposure)
	}
	return nil
}

// Write writes a baseline: the head, then an entry a line, in order.
func Write(w io.Writer, h *Head, s *Set) error {
	h.Version = Version
	out := bufio.NewWriter(w)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(h); err != nil {
		return err
	}
	for _, e := range s.Entries() {
		if err := enc.Encode(e.line()); err != nil {
			return err
		}
	}
	return out.Flush()
}

// ReadHead reads the first line of a file: [ErrNoBaseline] if it is of none.
func ReadHead(text []byte) (*Head, error) {
	var h Head
	if err := json.Unmarshal(text, &h); err != nil || h.Version == 0 {
		return nil, ErrNoBaseline
	}
	switch {
	case h.Version != Version:
		return nil, fmt.Errorf("baseline of version %d: want %d, the version that is known here", h.Version, Version)
	case h.Bits4 < 0 || h.Bits4 > 32 || h.Bits6 < 0 || h.Bits6 > 128:
		return nil, fmt.Errorf("baseline: prefixes of %d and %d bits", h.Bits4, h.Bits6)
	}
	return &h, nil
}

// Read reads a baseline. An error names the line.
func Read(r io.Reader) (*Head, *Set, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	if !lines.Scan() {
		if err := lines.Err(); err != nil {
			return nil, nil, err
		}
		return nil, nil, ErrNoBaseline
	}
	h, err := ReadHead(lines.Bytes())
	if err != nil {
		return nil, nil, err
	}
	s := new(Set)
	for no := 2; lines.Scan(); no++ {
		if len(lines.Bytes()) == 0 {
			continue
		}
		var e Entry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, nil, fmt.Errorf("line %d: %w", no, err)
		}
		s.add(e, false)
	}
	if s.Left > 0 {
		return nil, nil, fmt.Errorf("more than %d entries", maxEntries)
	}
	return h, s, lines.Err()
}
