package collect

import (
	"io/fs"

	"github.com/seed-44df2ae6/whose/collect/internal/bpfiter"
)

// PinOptions say how iterators are pinned.
type PinOptions struct {
	// Dir is where they are pinned, in a bpffs. Empty means DefaultPinDir.
	Dir string
	// GID is the group that may read them, -1 for root's.
	GID int
	// Mode of the files. Zero means 0440 with a group, 0400 without.
	Mode fs.FileMode
	// MountBPFFS mounts a bpffs where there is none: on /sys/fs/bpf for a
	// directory below it, else on the directory itself. Nothing is mounted
	// otherwise.
	MountBPFFS bool
	// Traverse adds search permission to the directories of the bpffs above,
	// so that those whom Mode lets read can reach the files: systemd mounts
	// /sys/fs/bpf for root alone.
	Traverse bool
}

// A PinStatus says what is pinned in a directory.
type PinStatus = bpfiter.Status

// Pin loads the iterators and pins them in bpffs, in place of older ones: from
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

// Unpin removes what Pin pinned. It is no error if nothing is pinned.
func Unpin(dir string) error {
	if dir == "" {
		dir = DefaultPinDir
	}
	return bpfiter.Unpin(dir)
}

// InspectPin says what is pinned in dir and whether the caller may read it.
func InspectPin(dir string) (PinStatus, error) {
	if dir == "" {
		dir = DefaultPinDir
	}
	return bpfiter.Inspect(dir)
}
