package folder

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-44df2ae6/whose/internal/testenv"
)

func TestCheck(t *testing.T) {
	base := safe(t)
	for _, c := range []struct {
		name  string
		make  func(dir string) error
		fault string // part of it; "" for a safe one
	}{
		{"own", func(dir string) error { return os.Mkdir(dir, 0o700) }, ""},
		{"missing", func(string) error { return nil }, "no such file"},
		{"others write", func(dir string) error { return errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, 0o777)) }, "others may write"},
		{"sticky", func(dir string) error {
			return errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, os.ModeSticky|0o777))
		}, "others may write"},
		{"file", func(dir string) error { return os.WriteFile(dir, nil, 0o600) }, "no directory"},
		{"link", func(dir string) error { return os.Symlink(base, dir) }, "symbolic link"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(base, strings.ReplaceAll(c.name, " ", "-"))
			if err := c.make(dir); err != nil {
				t.Fatal(err)
			}
			err := Check(dir)
			if c.fault == "" && err != nil || c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault)) {
				t.Errorf("got %v, want %q", err, c.fault)
			}
		})
	}
	if err := Check("relative"); err == nil {
		t.Error("a relative path was taken")
	}
}

// TestHostileFolderAbove has others write to a folder above the one in question.
func TestHostileFolderAbove(t *testing.T) {
	base := safe(t)
	above := filepath.Join(base, "above")
	dir := filepath.Join(above, "own")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	wrong := 0
	for _, mode := range []os.FileMode{0o777, 0o770, 0o722} {
		if err := os.Chmod(above, mode); err != nil {
			t.Fatal(err)
		}
		var unsafe *UnsafeError
		if err := Check(dir); !errors.As(err, &unsafe) || unsafe.Path != above {
			t.Errorf("mode %04o above: got %v", mode, err)
			wrong++
		}
	}
	testenv.Tried(t, 3, wrong)
}

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	first, err := Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(path); !errors.Is(err, ErrLocked) {
		t.Errorf("a second lock: got %v, want ErrLocked", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := Lock(path)
	if err != nil {
		t.Fatalf("after the first was closed: %v", err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	link := path + "-link"
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(link); err == nil {
		t.Error("a link was followed")
	}
}

// safe returns a folder that passes the check, or skips where the way to the temporary
// folders does not.
func safe(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := Check(dir); err != nil {
		testenv.Missing(t, "a temporary folder that nobody else may exchange", err.Error())
	}
	return dir
}
