//go:build !unix

package store

import (
	"os"

	"github.com/seed-44df2ae6/whose"
)

func createDir(path string, gid int) (dir, *os.File, error) {
	return dir{path}, nil, &whose.UnsupportedError{What: "writing history"}
}

func (d dir) createFile(name string) error { return &whose.UnsupportedError{What: "writing history"} }
func (d dir) space() int64                 { return 0 }
