//go:build !linux

package kill

import (
	"context"

	"github.com/seed-44df2ae6/whose"
)

func unsupported() error { return &whose.UnsupportedError{What: "ending sessions on this system"} }

// A Killer works on Linux only.
type Killer struct{}

// Open fails with [whose.ErrUnsupported].
func Open() (*Killer, error) { return nil, unsupported() }

// Close does nothing.
func (*Killer) Close() error { return nil }

// Sessions returns an empty plan.
func (*Killer) Sessions([]whose.Session, bool) *Plan { return &Plan{} }

// Owners returns an empty plan.
func (*Killer) Owners([]whose.Session, int, bool) *Plan { return &Plan{} }

// Close does nothing.
func (*Plan) Close() {}

// Run does nothing.
func (*Plan) Run(context.Context) (int, []Failure) { return 0, nil }

// ParseSignal fails with [whose.ErrUnsupported].
func ParseSignal(string) (int, error) { return 0, unsupported() }
