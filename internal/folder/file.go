package folder

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/seed-44df2ae6/whose"
)

// ReadFile reads a plain file of at most so many bytes that nobody else may exchange: it
// belongs to root or to the caller, and its mode has none of the barred bits. It waits
// for no pipe.
func ReadFile(path string, barred fs.FileMode, most int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // it may be a pipe
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	owner, known := ownerOf(info)
	switch mode := info.Mode(); {
	case !mode.IsRegular():
		return nil, fmt.Errorf("%s is no plain file", path)
	case mode.Perm()&barred&0o004 != 0:
		return nil, whose.WithHint(fmt.Errorf("others may read %s (mode %04o)", path, mode.Perm()), "chmod 600 %s", path)
	case mode.Perm()&barred != 0:
		return nil, whose.WithHint(fmt.Errorf("others may write to %s (mode %04o)", path, mode.Perm()), "chmod go-w %s", path)
	case known && owner != 0 && owner != os.Geteuid():
		return nil, fmt.Errorf("%s belongs to user %d, and not to root or the caller", path, owner)
	}
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(text)) > most {
		err = errors.New("it is too large")
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return text, nil
}
