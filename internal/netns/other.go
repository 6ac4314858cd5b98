//go:build !linux

package netns

import "github.com/seed-44df2ae6/whose"

func unsupported() error {
	return &whose.UnsupportedError{What: "network namespaces on this platform"}
}

// A File is an open network namespace. There is none on this platform.
type File struct {
	// Inode is the namespace's number.
	Inode uint32
}

// Open fails with [whose.ErrUnsupported].
func Open(string, uint32) (*File, error) { return nil, unsupported() }

// IsMount fails with [whose.ErrUnsupported].
func IsMount(string, uint32) (bool, error) { return false, unsupported() }

// ThroughRoot returns "".
func ThroughRoot(string, string) string { return "" }

// FD returns -1.
func (*File) FD() int { return -1 }

// Path returns "".
func (*File) Path() string { return "" }

// Close fails with [whose.ErrUnsupported].
func (*File) Close() error { return unsupported() }

// A Thread exists on Linux only.
type Thread struct{}

// OnThread fails with [whose.ErrUnsupported] and calls nothing.
func OnThread(func(*Thread) error) error { return unsupported() }

// Enter fails with [whose.ErrUnsupported].
func (*Thread) Enter(string, uint32) error { return unsupported() }

// EnterFile fails with [whose.ErrUnsupported].
func (*Thread) EnterFile(*File) error { return unsupported() }

// Mounted names nothing.
func Mounted(string) map[uint32]string { return nil }
