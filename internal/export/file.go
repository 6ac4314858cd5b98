package export

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// A fileSink is a folder into which whole batches are laid, as TOKEN.jsonl.zst. Who
// takes them from there removes them.
type fileSink struct{ dir string }

func (f *fileSink) String() string { return f.dir }

// Send writes the batch under another name first, so that whoever looks sees it whole.
func (f *fileSink) Send(_ context.Context, batch []byte, token string) error {
	root, err := os.OpenRoot(f.dir)
	if err != nil {
		return err
	}
	defer root.Close()
	name := token + endingBatch
	if _, err := root.Lstat(name); err == nil {
		return nil // it is there since an attempt whose end we did not see
	}
	part := "." + name + endingPart
	if err := root.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	w, err := root.OpenFile(part, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	_, err = w.Write(batch)
	if err = errors.Join(err, w.Sync(), w.Close()); err != nil {
		return errors.Join(err, root.Remove(part))
	}
	return root.Rename(part, filepath.Clean(name))
}
