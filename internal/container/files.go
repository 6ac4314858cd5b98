package container

import "io"

// Files are the files of a host, by their absolute paths on it. An implementation
// opens nothing but plain files and directories that it trusts, and follows no link
// out of the host's root. It is safe for concurrent use.
type Files interface {
	// Open opens a plain file to read it from its beginning, and says what state it
	// is in. [io/fs.ErrPermission] and [io/fs.ErrNotExist] are kept apart from other errors.
	Open(path string) (io.ReadCloser, State, error)
	// List returns the names in a directory and the state of this, which is the same
	// as long as its names are. In the known state it returns no names.
	List(path string, known State) ([]string, State, error)
}

// A State of a file is the same as long as the file has not changed.
type State struct {
	Device, Inode uint64
	Size          int64
	// Changed is the time of the last change, in nanoseconds.
	Changed int64
}

// maxStored bounds the containers that are kept of one file or directory.
const maxStored = 1 << 16

// A kept value was read from a file in a state.
type kept[T any] struct {
	state State
	value T
}

const (
	// maxFile bounds a file about one container.
	maxFile = 4 << 20
	// maxStore bounds a file about all of them.
	maxStore = 32 << 20
)

// bounded ends a stream after limit bytes, so that a file not read to its end is
// malformed and not believed.
func bounded(r io.Reader, limit int64) io.Reader { return io.LimitReader(r, limit) }
