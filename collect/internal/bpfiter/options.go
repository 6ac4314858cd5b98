package bpfiter

import "io/fs"

// Options choose the programs. The zero value loads them.
type Options struct {
	// PinDir is the first directory to search for pinned iterators. Empty:
	// none.
	PinDir string
	// Threads is how many threads read at once; 0 means one for each processor, and
	// eight at most.
	Threads int
	// TaskFileOnly does without fd_walk and hash_walk, which take newer kernels,
	// and reads as before Linux 5.19. It is for tests, and not for pins.
	TaskFileOnly bool
}

// PinOptions name the readers of the pins. The zero value: root alone.
type PinOptions struct {
	// GID is the group of the files; nil keeps root's.
	GID *int
	// Mode of the files. 0 means 0400, or 0440 with a GID.
	Mode fs.FileMode
	// MountBPFFS mounts a bpffs if there is none: on /sys/fs/bpf for a
	// directory below it, else on the directory itself.
	MountBPFFS bool
	// Traverse permits adding search permission (x) for everybody to the
	// directories of the bpffs above. Without it the readers allowed by Mode
	// could not reach the files: systemd mounts it with mode 0700. Nobody can
	// list the directory by it, and pins in it keep their own modes.
	Traverse bool
}
