package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
)

// ErrLocked is the error of [Lock] where another process has the lock.
var ErrLocked = errors.New("another process has the lock")

// An UnsafeError says why a folder cannot be relied on.
type UnsafeError struct {
	// Path is the folder at fault: the one that was asked about, or one above it.
	Path  string
	Fault string
}

// Error names the folder and its fault.
func (e *UnsafeError) Error() string {
	return fmt.Sprintf("directory %s is not safe: %s", e.Path, e.Fault)
}

// fault returns what is wrong with a folder, "" for nothing. Others may write to a
// sticky one only, and not to the last.
func fault(info fs.FileInfo, owner, self uint32, last bool) string {
	mode := info.Mode()
	switch {
	case mode&fs.ModeSymlink != 0:
		return "it is a symbolic link"
	case !mode.IsDir():
		return "it is no directory"
	case owner != 0 && owner != self:
		return fmt.Sprintf("it belongs to the user %d", owner)
	case mode.Perm()&0o022 != 0 && (last || mode&fs.ModeSticky == 0):
		return fmt.Sprintf("others may write to it (mode %04o)", mode.Perm())
	}
	return ""
}

// steps returns the folders on the way to an absolute path, the root first.
func steps(path string) []string {
	all := []string{string(filepath.Separator)}
	for i, c := range path {
		if c == filepath.Separator && i > 0 {
			all = append(all, path[:i])
		}
	}
	if strings.Trim(path, string(filepath.Separator)) != "" {
		all = append(all, path)
	}
	return all
}
