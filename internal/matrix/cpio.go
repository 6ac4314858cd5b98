package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A cpioWriter writes an archive in the "newc" form, the one that the kernel
// unpacks (Documentation/driver-api/early-userspace/buffer-format.rst). The
// first error stays and is told by close.
type cpioWriter struct {
	w     io.Writer
	inode int
	seen  map[string]bool
	err   error
}

func newCpioWriter(w io.Writer) *cpioWriter {
	return &cpioWriter{w: w, seen: map[string]bool{}}
}

// The kinds of files, as in st_mode.
const (
	modeDir  = 0o040000
	modeChar = 0o020000
	modeFile = 0o100000
	modeLink = 0o120000
)

// entry writes one member. The sizes of header and data are multiples of four.
func (c *cpioWriter) entry(name string, mode, major, minor int, size int64, data io.Reader) {
	if c.err != nil {
		return
	}
	c.inode++
	header := fmt.Sprintf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		c.inode, mode, 0, 0, 1, 0, size, 0, 0, major, minor, len(name)+1, 0, name)
	c.pad(header, len(header))
	if data == nil {
		return
	}
	n, err := io.Copy(c.w, data)
	if err == nil && n != size {
		err = fmt.Errorf("%s: %d bytes, want %d", name, n, size)
	}
	if c.err == nil {
		c.err = err
	}
	c.pad("", int(n%4))
}

// pad writes text and then zeros, up to a multiple of four of length.
func (c *cpioWriter) pad(text string, length int) {
	if c.err == nil {
		_, c.err = io.WriteString(c.w, text+strings.Repeat("\x00", (4-length%4)%4))
	}
}

// dir makes a folder and those above it, each once.
func (c *cpioWriter) dir(name string) {
	name = strings.Trim(name, "/")
	if name == "" || name == "." || c.seen[name] {
		return
	}
	c.dir(filepath.Dir(name))
	c.seen[name] = true
	c.entry(name, modeDir|0o755, 0, 0, 0, nil)
}

func (c *cpioWriter) link(name, target string) {
	c.dir(filepath.Dir(name))
	c.entry(strings.Trim(name, "/"), modeLink|0o777, 0, 0, int64(len(target)), strings.NewReader(target))
}

func (c *cpioWriter) text(name, text string, mode int) {
	c.dir(filepath.Dir(name))
	c.entry(strings.Trim(name, "/"), modeFile|mode, 0, 0, int64(len(text)), strings.NewReader(text))
}

// file copies a file of this machine.
func (c *cpioWriter) file(name, source string) {
	if c.err != nil {
		return
	}
	f, err := os.Open(source)
	if err != nil {
		c.err = err
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		c.err = err
		return
	}
	c.dir(filepath.Dir(name))
	c.entry(strings.Trim(name, "/"), modeFile|int(info.Mode().Perm()), 0, 0, info.Size(), f)
}

// tree copies a file or a folder with all in it.
func (c *cpioWriter) tree(name, source string) {
	err := filepath.WalkDir(source, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(source, path)
		if err != nil {
			return err
		}
		place := filepath.Join(name, relative)
		switch {
		case d.IsDir():
			c.dir(place)
		case d.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			c.link(place, target)
		case d.Type().IsRegular():
			c.file(place, path)
		}
		return c.err
	})
	if c.err == nil {
		c.err = err
	}
}

// close writes the end of the archive.
func (c *cpioWriter) close() error {
	c.entry("TRAILER!!!", 0, 0, 0, 0, nil)
	return c.err
}
