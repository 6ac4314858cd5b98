package bpfiter

import "io/fs"

// A Status describes the pins of a directory and their use to the caller.
type Status struct {
	// Dir is the directory.
	Dir string
	// BPFFS: the directory, or the place where it would be made, is on a bpffs.
	BPFFS bool
	// Version of the records read by this program.
	Version int
	// Pins are the files of any version. None: nothing is pinned.
	Pins []PinStatus
	// Blocked are the directories of the bpffs, from dir up, without search
	// permission for others than their owner. Mode and group of the files are
	// then of no use to them.
	Blocked []string
	// Unsafe is why nobody is to believe the pins: the directory, or one above it,
	// is somebody else's or may be written by others. It has a hint. It is nil for
	// a directory that is safe or missing.
	Unsafe error
	// Works is the result of reading through the pins: nil for success.
	Works error
}

// A PinStatus describes one pinned file.
type PinStatus struct {
	// Path of the file.
	Path string
	// Version of its records, by its name.
	Version int
	// Mode, UID and GID are who may read it.
	Mode     fs.FileMode
	UID, GID uint32
	// Readable: the caller may open it.
	Readable bool
}
