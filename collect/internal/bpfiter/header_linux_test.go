package bpfiter

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/source"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

func opensPinned(dir string) error {
	s, err := OpenPinned(dir, Options{})
	if err != nil {
		return err
	}
	return s.Close()
}

// swap exchanges the names of two files.
func swap(t *testing.T, dir string, a, b programKind) {
	t.Helper()
	a1, b1 := filepath.Join(dir, pinName(a)), filepath.Join(dir, pinName(b))
	must(t, unix.Renameat2(unix.AT_FDCWD, a1, unix.AT_FDCWD, b1, unix.RENAME_EXCHANGE))
}

// TestOpenPinned_Header has under each name a program that is not of that name.
func TestOpenPinned_Header(t *testing.T) {
	testenv.NeedKernel(t, 6, 2, "all three programs")
	dir := bpffs(t, "mode=755")
	must(t, Pin(dir, PinOptions{}))
	for _, pair := range [][2]programKind{{fdWalk, hashWalk}, {fdWalk, taskFile}, {hashWalk, taskFile}} {
		swap(t, dir, pair[0], pair[1])
		var wrong *ProgramError
		if err := opensPinned(dir); !errors.As(err, &wrong) || whose.Hint(err) == "" {
			t.Errorf("%v exchanged: %v (hint %q), want a ProgramError", pair, err, whose.Hint(err))
		}
		swap(t, dir, pair[0], pair[1])
	}
	for _, program := range pinPrograms() {
		path := filepath.Join(dir, pinName(program))
		must(t, os.Rename(path, path+"_aside"))
		pinForeign(t, path)
		var bad *RecordError
		if err := opensPinned(dir); !errors.As(err, &bad) {
			t.Errorf("text under the name of %s: %v, want a RecordError", program, err)
		}
		must(t, os.Rename(path+"_aside", path))
	}
	must(t, opensPinned(dir))
}

// TestRead_Header has an iterator exchanged after the source was opened.
func TestRead_Header(t *testing.T) {
	testenv.NeedKernel(t, 6, 2, "all three programs")
	dir := bpffs(t, "mode=755")
	must(t, Pin(dir, PinOptions{}))
	s, err := OpenPinned(dir, Options{})
	must(t, err)
	read(t, s, &source.Query{})
	swap(t, dir, fdWalk, hashWalk)
	var wrong *ProgramError
	if err := s.Read(context.Background(), asking(source.Query{}), new(source.Snapshot)); !errors.As(err, &wrong) {
		t.Errorf("exchanged: %v, want a ProgramError", err)
	}
	swap(t, dir, fdWalk, hashWalk)
	must(t, os.Chmod(dir, 0o777))
	var unsafe *UnsafeDirError
	if err := s.Read(context.Background(), asking(source.Query{}), new(source.Snapshot)); !errors.As(err, &unsafe) {
		t.Errorf("others may write now: %v, want an UnsafeDirError", err)
	}
	must(t, os.Chmod(dir, 0o755))
	read(t, s, &source.Query{})
	must(t, s.Close())
}

// TestRead_HalfPinned has programs of two sets: a pin that was killed between them.
func TestRead_HalfPinned(t *testing.T) {
	testenv.NeedKernel(t, 6, 2, "all three programs")
	dir := bpffs(t, "mode=755")
	must(t, Pin(dir, PinOptions{}))
	path := filepath.Join(dir, pinName(fdWalk))
	must(t, os.Rename(path, path+"_before"))
	must(t, Pin(dir, PinOptions{}))
	must(t, os.Rename(path+"_before", path))
	s, err := OpenPinned(dir, Options{})
	must(t, err)
	var snap source.Snapshot
	if err := s.Read(context.Background(), asking(source.Query{}), &snap); !errors.Is(err, errMixedSet) || whose.Hint(err) == "" {
		t.Errorf("of two sets: %v (hint %q)", err, whose.Hint(err))
	}
	if len(snap.Sockets)+len(snap.Holdings)+len(snap.Tasks) != 0 {
		t.Errorf("of two sets: %d sockets are shown", len(snap.Sockets))
	}
	must(t, s.Close())
	must(t, Pin(dir, PinOptions{}))
	must(t, opensPinned(dir))
}
