//go:build !linux

package proc

import (
	"context"
	"os"
	"strconv"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/container"
	"github.com/seed-44df2ae6/whose/internal/netns"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// An FS is an open procfs. There is none on this platform.
type FS struct{}

func unsupported() error { return &whose.UnsupportedError{What: "procfs on this platform"} }

// Open fails with [whose.ErrUnsupported].
func Open(string) (*FS, error) { return nil, unsupported() }

// OpenCaptured fails with [whose.ErrUnsupported].
func OpenCaptured(string) (*FS, error) { return nil, unsupported() }

// Raised returns false.
func Raised() bool { return false }

// Close fails with [whose.ErrUnsupported].
func (*FS) Close() error { return unsupported() }

// Root returns "".
func (*FS) Root() string { return "" }

// Live returns false.
func (*FS) Live() bool { return false }

// Self returns "".
func (*FS) Self() string { return "" }

// Release returns "".
func (*FS) Release() string { return "" }

// OpenFile fails with [whose.ErrUnsupported].
func (*FS) OpenFile(string) (*os.File, error) { return nil, unsupported() }

func readSetting(path string) ([]byte, error) { return os.ReadFile(path) }

// Own returns false.
func (*FS) Own() bool { return false }

// BootTime fails with [whose.ErrUnsupported].
func (*FS) BootTime() (time.Time, error) { return time.Time{}, unsupported() }

// StartTime returns the zero Time.
func (*FS) StartTime(uint64) time.Time { return time.Time{} }

// Walk fails with [whose.ErrUnsupported].
func (*FS) Walk(context.Context, WalkOptions, *Walk) error { return unsupported() }

// SelfNetNS returns 0.
func (*FS) SelfNetNS() uint32 { return 0 }

// UserName returns the number as text.
func (*FS) UserName(uid uint32) string { return strconv.FormatUint(uint64(uid), 10) }

// LearnUsers asks nobody.
func (*FS) LearnUsers(context.Context, []uint32) (whose.Gap, bool) { return whose.Gap{}, false }

// UserIDs fails with [whose.ErrUnsupported] if there are names.
func (*FS) UserIDs(_ context.Context, names []string) (map[string]uint32, error) {
	if len(names) == 0 {
		return nil, nil
	}
	return nil, unsupported()
}

// Namespaces fails with [whose.ErrUnsupported].
func (*FS) Namespaces(context.Context) ([]source.NetNSRef, whose.Gaps, error) {
	return nil, nil, unsupported()
}

// NamespacesOf fails with [whose.ErrUnsupported].
func (*FS) NamespacesOf(context.Context, []uint32) ([]source.NetNSRef, whose.Gaps, error) {
	return nil, nil, unsupported()
}

// NetNSNames returns nil.
func (*FS) NetNSNames(context.Context, []source.NetNSRef) map[uint32]string { return nil }

// NetNSNamesOf returns nil.
func (*FS) NetNSNamesOf(context.Context, []source.NetNSRef, []uint32, []uint32) map[uint32]string {
	return nil
}

// NetNSOfSockets returns none.
func (*FS) NetNSOfSockets(context.Context, []source.Holding, func(uint32) bool) (open []*netns.File, unasked int) {
	return nil, 0
}

// Process fails with [whose.ErrUnsupported].
func (*FS) Process(uint32, uint64, whose.Needs) (whose.Process, error) {
	return whose.Process{}, unsupported()
}

// Describe describes nothing.
func (*FS) Describe(context.Context, []ProcessID, whose.Needs, func(int, *whose.Process)) whose.Gaps {
	return nil
}

// Running fails with [whose.ErrUnsupported].
func (*FS) Running(context.Context, func(uint32) bool) ([]ProcessID, error) {
	return nil, unsupported()
}

// MayLook returns a whose.UnsupportedError.
func (*FS) MayLook(uint32) error { return unsupported() }

// Comm fails with [whose.ErrUnsupported].
func (*FS) Comm(uint32) (string, error) { return "", unsupported() }

// CgroupOf fails with [whose.ErrUnsupported].
func (*FS) CgroupOf(uint32) (Cgroup, error) { return Cgroup{}, unsupported() }

// ContainerNames names none.
func (*FS) ContainerNames(_ context.Context, groups []Cgroup) ([]container.Names, int) {
	return make([]container.Names, len(groups)), 0
}

// Cgroups fails with [whose.ErrUnsupported].
func (*FS) Cgroups(context.Context) (*CgroupIndex, error) { return nil, unsupported() }
