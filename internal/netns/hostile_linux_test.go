package netns_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose/internal/netns"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// TestHostileOpen opens namespaces by paths where something else is: none of it
// is opened, and nothing is waited for.
func TestHostileOpen(t *testing.T) {
	ns := testenv.NewNetNS(t)
	dir := t.TempDir()
	pipe, socket, file := filepath.Join(dir, "pipe"), filepath.Join(dir, "socket"), filepath.Join(dir, "file")
	if err := errors.Join(unix.Mkfifo(pipe, 0o644), unix.Mknod(socket, unix.S_IFSOCK|0o644, 0), os.WriteFile(file, nil, 0o644),
		os.Symlink(ns.Path(), filepath.Join(dir, "link")), os.Symlink("net:["+fmt.Sprint(ns.Inode())+"]", filepath.Join(dir, "text"))); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(file, &st); err != nil {
		t.Fatal(err)
	}
	dead := testenv.NewDeadFS(t)
	if err := unix.Stat(filepath.Join(dead.Dir, "x"), new(unix.Stat_t)); err != nil {
		t.Fatal(err)
	}
	held, err := os.Open(filepath.Join(dead.Dir, "x"))
	if err != nil {
		t.Fatal(err)
	}
	dead.Die()
	tried, wrong := 0, 0
	for _, c := range []struct {
		path  string
		inode uint32
	}{
		{pipe, ns.Inode()}, {socket, ns.Inode()}, {file, ns.Inode()}, {file, uint32(st.Ino)}, {"/dev/tty", ns.Inode()},
		{filepath.Join(dir, "text"), ns.Inode()}, {"/proc/self/ns/mnt", inodeAt(t, "/proc/self/ns/mnt")}, {"/proc/self/ns/user", inodeAt(t, "/proc/self/ns/user")},
		{fmt.Sprintf("/proc/self/fd/%d", held.Fd()), ns.Inode()}, {fmt.Sprintf("/proc/self/fd/%d", held.Fd()), 2},
		{fmt.Sprintf("/proc/%d/root%s", os.Getpid(), pipe), ns.Inode()}, {fmt.Sprintf("/proc/%d/root%s/link", os.Getpid(), dir), ns.Inode()},
		{fmt.Sprintf("/proc/%d/root%s/x", os.Getpid(), dead.Dir), 2}, {fmt.Sprintf("/proc/%d/root%s/y/z", os.Getpid(), dead.Dir), 2},
	} {
		tried++
		f, err := netns.Open(c.path, c.inode)
		if err == nil {
			f.Close()
			t.Errorf("%s was opened as namespace %d", c.path, c.inode)
			wrong++
		}
	}
	dead.Close() // or closing its file would wait
	held.Close()
	if f, err := netns.Open(ns.Path(), ns.Inode()); err != nil {
		t.Errorf("the namespace itself: %v", err)
	} else {
		f.Close()
	}
	testenv.Tried(t, tried, wrong)
}

func inodeAt(t *testing.T, path string) uint32 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return uint32(st.Ino)
}

// TestMounted_Others wants that only namespaces are named, and no link is
// followed.
func TestMounted_Others(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(unix.Mkfifo(filepath.Join(dir, "pipe"), 0o644), os.WriteFile(filepath.Join(dir, "file"), nil, 0o644),
		os.Symlink("/proc/self/ns/net", filepath.Join(dir, "link"))); err != nil {
		t.Fatal(err)
	}
	if names := netns.Mounted(dir); len(names) != 0 {
		t.Errorf("names %v of no namespace", names)
	}
}
