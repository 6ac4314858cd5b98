package bpfiter

import "io/fs"

// A Status says what is pinned in a directory and whether the caller can use it.
type Status struct {
	// Dir is the directory.
	Dir string
	// BPFFS tells that the directory, or what it would be made in, is on a bpffs.
	BPFFS bool
	// Version of the records that this program reads.
	Version int
	// Pins are the files of any version. None: nothing is pinned.
	Pins []PinStatus
	// Blocked are the directories of the bpffs, from dir up, that others than
	// their owner may not search, so that mode and group of the files are of
	// no use to them.
	Blocked []string
	// Works is what reading through the pins gave: nil where it works.
	Works error
}

// A PinStatus says what one pinned file is.
type PinStatus struct {
	// Path of the file.
	Path string
	// Version of its records, by its name.
	Version int
	// Mode, UID and GID are who may read it.
	Mode     fs.FileMode
	UID, GID uint32
	// Readable tells that the caller may open it.
	Readable bool
}
