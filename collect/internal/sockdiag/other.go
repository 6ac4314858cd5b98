//go:build !linux

package sockdiag

import (
	"context"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// A Source cannot be opened on this system.
type Source struct{}

var _ source.Source = (*Source)(nil)

// errUnsupported is the answer to everything.
func errUnsupported() error {
	return &whose.UnsupportedError{What: "sock_diag on this system"}
}

// Open fails with [whose.ErrUnsupported].
func Open(Options) (*Source, error) { return nil, errUnsupported() }

// Name returns "netlink".
func (s *Source) Name() string { return "netlink" }

// Capabilities returns none.
func (s *Source) Capabilities() source.Capabilities { return source.Capabilities{} }

// Read fails with [whose.ErrUnsupported].
func (s *Source) Read(context.Context, *source.Query, *source.Snapshot) error {
	return errUnsupported()
}

// Close does nothing.
func (s *Source) Close() error { return nil }
