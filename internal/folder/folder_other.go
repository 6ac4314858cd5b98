//go:build !unix

package folder

import (
	"io/fs"
	"os"

	"github.com/seed-44df2ae6/whose"
)

// Check knows no owners here.
func Check(string) error { return nil }

// Make is not supported here.
func Make(string, fs.FileMode) error {
	return &whose.UnsupportedError{What: "a folder of one's own"}
}

// Lock is not supported here.
func Lock(string) (*os.File, error) { return nil, &whose.UnsupportedError{What: "locking a folder"} }
