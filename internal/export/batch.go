package export

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
)

// A Batch is a file of the spool: JSON lines, compressed by zstd. It is sent whole, and
// each time with the same bytes.
type Batch struct {
	// Number counts the batches of a spool.
	Number uint64
	// Lines is the number of lines in it.
	Lines int
	// Size is its length in bytes.
	Size int64
}

// The names of files: NUMBER-LINES and an ending, part while it is written.
const (
	endingBatch = ".jsonl.zst"
	endingPart  = ".part"
	// endingWhy is of the reason beside a batch that was set aside.
	endingWhy = ".why"
)

func (b *Batch) name() string { return fmt.Sprintf("%012d-%d%s", b.Number, b.Lines, endingBatch) }

// parseName reads the name of a batch; ok is false for that of something else.
func parseName(name string) (b Batch, ok bool) {
	stem, ok := strings.CutSuffix(name, endingBatch)
	if !ok {
		return b, false
	}
	number, lines, ok := strings.Cut(stem, "-")
	if !ok {
		return b, false
	}
	var err1, err2 error
	b.Number, err1 = strconv.ParseUint(number, 10, 63)
	b.Lines, err2 = strconv.Atoi(lines)
	return b, err1 == nil && err2 == nil && b.Lines >= 0 && b.name() == name
}

// batches reads the batches of a folder in the order of their numbers.
func batches(root *os.Root) ([]Batch, error) {
	entries, err := readDir(root)
	if err != nil {
		return nil, err
	}
	var all []Batch
	for _, e := range entries {
		b, ok := parseName(e.Name())
		if !ok || !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		b.Size = info.Size()
		all = append(all, b)
	}
	slices.SortFunc(all, func(a, b Batch) int { return cmp.Compare(a.Number, b.Number) })
	return all, nil
}

func readDir(root *os.Root) ([]fs.DirEntry, error) {
	dir, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dir.ReadDir(-1)
}
