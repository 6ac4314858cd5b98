package collect

import (
	"io/fs"

	"github.com/seed-44df2ae6/whose/collect/internal/bpfiter"
)

// PinOptions say how iterators are pinned.
type PinOptions struct {
	// Dir is their directory, in a bpffs. Empty means [DefaultPinDir].
	Dir string
	// GID is the group that may read them, -1 for root's.
	GID int
	// Mode of the files. Zero means 0440 with a group, 0400 without.
	Mode fs.FileMode
	// MountBPFFS mounts a bpffs if there is none: on /sys/fs/bpf for a
	// directory below it, else on the directory itself. Without it nothing is
	// mounted.
	MountBPFFS bool
	// Traverse adds search permission to the directories of the bpffs above.
	// Without it the readers allowed by Mode may not reach the files: systemd
	// mounts /sys/fs/bpf for root alone.
	Traverse bool
}

// A PinStatus describes the pins of a directory.
type PinStatus = bpfiter.Status

// Pin loads the iterators and pins them in bpffs, in place of older ones. From
// then on whoever may read the files reads all sessions of the host with all
// their owners, without privilege. It needs root, or CAP_BPF, CAP_PERFMON and
// the right to write the directory.
func Pin(opts PinOptions) error {
	if opts.Dir == "" {
		opts.Dir = DefaultPinDir
	}
	o := bpfiter.PinOptions{Mode: opts.Mode, MountBPFFS: opts.MountBPFFS, Traverse: opts.Traverse}
	if opts.GID >= 0 {
		o.GID = &opts.GID
	}
	return bpfiter.Pin(opts.Dir, o)
}

// Unpin removes the pins of [Pin]. A directory without pins is no error.
func Unpin(dir string) error {
	if dir == "" {
		dir = DefaultPinDir
	}
	return bpfiter.Unpin(dir)
}

// InspectPin describes the pins in dir and reports whether the caller may read
// them.
func InspectPin(dir string) (PinStatus, error) {
	if dir == "" {
		dir = DefaultPinDir
	}
	return bpfiter.Inspect(dir)
}
