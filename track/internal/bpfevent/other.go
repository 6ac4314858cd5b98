//go:build !linux

package bpfevent

import (
	"context"

	"github.com/seed-44df2ae6/whose"
)

var errOther = &whose.UnsupportedError{What: "bpf on this platform"}

// A Source exists on Linux only.
type Source struct{}

// Open returns a [whose.UnsupportedError].
func Open(Config) (*Source, error) { return nil, errOther }

// Read returns a [whose.UnsupportedError].
func (*Source) Read(context.Context, func(*Record) error) error { return errOther }

// Losses returns a [whose.UnsupportedError].
func (*Source) Losses() (Losses, error) { return Losses{}, errOther }

// Missing returns nil.
func (*Source) Missing() []error { return nil }

// Close does nothing.
func (*Source) Close() error { return nil }

// Flows returns a [whose.UnsupportedError].
func (*Source) Flows(func(*Flow) bool) error { return errOther }

// CloseFlow returns a [whose.UnsupportedError].
func (*Source) CloseFlow(FlowKey) (Flow, bool, error) { return Flow{}, false, errOther }
