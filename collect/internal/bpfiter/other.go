//go:build !linux

package bpfiter

import (
	"context"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/source"
)

var errOther = &whose.UnsupportedError{What: "bpf on this platform"}

// A Source works on Linux only.
type Source struct{}

var _ source.Source = (*Source)(nil)

// Open returns a whose.UnsupportedError.
func Open(Options) (*Source, error) { return nil, errOther }

// Load returns a whose.UnsupportedError.
func Load(Options) (*Source, error) { return nil, errOther }

// OpenPinned returns a whose.UnsupportedError.
func OpenPinned(string, Options) (*Source, error) { return nil, errOther }

// Name returns "bpf".
func (*Source) Name() string { return "bpf" }

// Capabilities returns none.
func (*Source) Capabilities() source.Capabilities { return source.Capabilities{} }

// Read returns a whose.UnsupportedError.
func (*Source) Read(context.Context, *source.Query, *source.Snapshot) error { return errOther }

// Close does nothing.
func (*Source) Close() error { return nil }

// Pin returns a whose.UnsupportedError.
func Pin(string, PinOptions) error { return errOther }

// Unpin returns a whose.UnsupportedError.
func Unpin(string) error { return errOther }

// Inspect returns a whose.UnsupportedError.
func Inspect(dir string) (Status, error) { return Status{Dir: dir}, errOther }
