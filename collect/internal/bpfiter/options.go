package bpfiter

import "io/fs"

// Options say where the programs come from. The zero value loads them.
type Options struct {
	// PinDir is where pinned iterators are looked for first. Empty: nowhere.
	PinDir string
	// Threads is how many threads read at once; 0 means two.
	Threads int
	// TaskFileOnly does without fd_walk and hash_walk, which take newer kernels,
	// and reads as before Linux 5.19. It is for tests, and not for pins.
	TaskFileOnly bool
}

// PinOptions say who may read what is pinned. The zero value: root alone.
type PinOptions struct {
	// GID is the group of the files; nil keeps root's.
	GID *int
	// Mode of the files. 0 means 0400, or 0440 with a GID.
	Mode fs.FileMode
	// MountBPFFS mounts a bpffs where there is none: on /sys/fs/bpf for a
	// directory below it, else on the directory itself.
	MountBPFFS bool
	// Traverse permits that search permission (x) for everybody is added to
	// the directories of the bpffs above, where those whom Mode lets read
	// could not reach the files: systemd mounts it with mode 0700. Nobody can
	// list the directory by that, and pins in it keep their own modes.
	Traverse bool
}
