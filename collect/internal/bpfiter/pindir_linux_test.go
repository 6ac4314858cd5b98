package bpfiter

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// unsafeDirs make, below base, a directory that no pins may be in, and return it
// and the part of the sentence about it.
func unsafeDirs() map[string]func(t *testing.T, base string) (dir, says string) {
	made := func(t *testing.T, mode uint32, uid int, path ...string) string {
		dir := filepath.Join(path...)
		must(t, os.Mkdir(dir, 0o700))
		must(t, os.Chown(dir, uid, -1))
		must(t, unix.Chmod(dir, mode))
		return dir
	}
	return map[string]func(t *testing.T, base string) (string, string){
		"another's": func(t *testing.T, base string) (string, string) {
			return made(t, 0o755, nobody, base, "theirs"), "belongs to user 65534"
		},
		"of a group": func(t *testing.T, base string) (string, string) {
			return made(t, 0o775, 0, base, "group"), "others may write to it (mode 0775)"
		},
		"like /tmp": func(t *testing.T, base string) (string, string) {
			return made(t, 0o1777, 0, base, "sticky"), "others may write to it (mode 1777)"
		},
		"below another's": func(t *testing.T, base string) (string, string) {
			return made(t, 0o755, 0, made(t, 0o755, nobody, base, "home"), "whose"), "belongs to user 65534"
		},
		"below another's that is missing": func(t *testing.T, base string) (string, string) {
			return filepath.Join(made(t, 0o755, nobody, base, "home2"), "a", "b"), "belongs to user 65534"
		},
		"below one that others may write to": func(t *testing.T, base string) (string, string) {
			return made(t, 0o755, 0, made(t, 0o777, 0, base, "open"), "whose"), "others may write to it (mode 0777)"
		},
		"a symbolic link": func(t *testing.T, base string) (string, string) {
			must(t, os.Symlink(made(t, 0o700, 0, base, "private"), filepath.Join(base, "link")))
			return filepath.Join(base, "link"), "symbolic link"
		},
		"below a symbolic link": func(t *testing.T, base string) (string, string) {
			must(t, os.Symlink(made(t, 0o700, 0, base, "private2"), filepath.Join(base, "link2")))
			return filepath.Join(base, "link2", "whose"), "symbolic link"
		},
	}
}

// TestPin_UnsafeDir neither pins nor reads nor removes where others could have
// put something in the place of a pin.
func TestPin_UnsafeDir(t *testing.T) {
	testenv.CheckLeaks(t)
	base := filepath.Dir(bpffs(t, "mode=755"))
	for name, make := range unsafeDirs() {
		dir, says := make(t, base)
		before := modesBelow(t, base)
		for does, err := range map[string]error{
			"pin": Pin(dir, PinOptions{Mode: 0o444, Traverse: true}), "unpin": Unpin(dir), "read": opensPinned(dir), "inspect": inspectUnsafe(dir),
		} {
			var unsafe *UnsafeDirError
			if !errors.As(err, &unsafe) || !strings.Contains(err.Error(), says) || whose.Hint(err) == "" {
				t.Errorf("%s: %s: %v (hint %q), want %q", name, does, err, whose.Hint(err), says)
			}
		}
		if after := modesBelow(t, base); before != after {
			t.Errorf("%s: before\n%safter\n%s", name, before, after)
		}
	}
}

func inspectUnsafe(dir string) error {
	st, err := Inspect(dir)
	return errors.Join(st.Unsafe, err)
}

// modesBelow describes everything below a directory.
func modesBelow(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	must(t, filepath.Walk(dir, func(path string, info fs.FileInfo, err error) error {
		if err == nil {
			b.WriteString(info.Mode().String() + " " + path + "\n")
		}
		return err
	}))
	return b.String()
}

// TestPin_Sticky pins where everybody may write, as a bpffs is mounted by default:
// nobody else can exchange what root made there.
func TestPin_Sticky(t *testing.T) {
	base := filepath.Dir(bpffs(t, "mode=1777"))
	dir := base + "/a/../b/c"
	must(t, Pin(dir, PinOptions{Mode: 0o444}))
	must(t, opensPinned(dir))
	if a := asChild(t, dir, asUser(nobody)); a.Err != "" {
		t.Errorf("another user: %s", a.Err)
	}
	for _, made := range []string{"b", "b/c"} {
		if st, err := os.Stat(filepath.Join(base, made)); err != nil || st.Mode().Perm() != 0o755 {
			t.Errorf("%s: mode %v (%v)", made, st.Mode(), err)
		}
	}
	if _, err := os.Stat(filepath.Join(base, "a")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a directory that the path leaves again: %v", err)
	}
	must(t, Unpin(dir))
}

// TestPin_Umask gives the pins the same modes whatever the umask is.
func TestPin_Umask(t *testing.T) {
	dir := bpffs(t, "mode=755")
	gid := someGroup
	for _, mask := range []int{0, 0o022, 0o077, 0o777} {
		before := unix.Umask(mask)
		err := Pin(dir, PinOptions{GID: &gid})
		unix.Umask(before)
		must(t, err)
		for path, want := range map[string]fs.FileMode{dir: 0o755, filepath.Join(dir, pinName(taskFile)): 0o440} {
			st, err := os.Stat(path)
			if must(t, err); st.Mode().Perm() != want {
				t.Errorf("umask %04o: %s has mode %v, want %v", mask, path, st.Mode(), want)
			}
		}
		must(t, Unpin(dir))
	}
}

// TestPin_Mode lets nobody write to a pin.
func TestPin_Mode(t *testing.T) {
	dir := bpffs(t, "mode=755")
	if err := Pin(dir, PinOptions{Mode: 0o666}); err == nil {
		t.Error("pinned for everybody to write to")
	}
	must(t, Pin(dir, PinOptions{Mode: 0o444}))
	must(t, os.Chmod(filepath.Join(dir, pinName(taskFile)), 0o464))
	if err := opensPinned(dir); !errors.Is(err, errWritable) {
		t.Errorf("a pin that a group may write to: %v", err)
	}
}

// TestPin_MountBPFFS mounts a bpffs where there is none.
func TestPin_MountBPFFS(t *testing.T) {
	testenv.NeedCap(t, unix.CAP_SYS_ADMIN, unix.CAP_BPF, unix.CAP_PERFMON)
	dir := filepath.Join(t.TempDir(), "bpf")
	must(t, Pin(dir, PinOptions{MountBPFFS: true}))
	t.Cleanup(func() { must(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	if st, err := os.Stat(dir); err != nil || st.Mode().Perm() != 0o755 {
		t.Errorf("mounted with mode %v (%v)", st.Mode(), err)
	}
	must(t, opensPinned(dir))
	must(t, Unpin(dir)) // a mount point stays
}

// TestUnpin_Others leaves alone what has the name of a pin and is none.
func TestUnpin_Others(t *testing.T) {
	plain := t.TempDir()
	must(t, os.Chmod(plain, 0o755))
	precious := filepath.Join(plain, pinName(taskFile))
	must(t, os.WriteFile(precious, []byte("precious"), 0o600))
	if err := Unpin(plain); !errors.Is(err, errNotBPFFS) {
		t.Errorf("not on a bpffs: %v", err)
	}
	if _, err := os.Stat(precious); err != nil {
		t.Error(err)
	}

	dir := bpffs(t, "mode=755")
	must(t, Pin(dir, PinOptions{}))
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	must(t, err)
	defer m.Close()
	others := map[string]bool{"task_file_v8": true, "hash_walk_v8": true, "fd_walk_v8": true, "mine": true, "fd_walk_v" + strconv.Itoa(recordVersion) + "_by_1": true}
	must(t, m.Pin(filepath.Join(dir, "task_file_v8")))
	pinForeign(t, filepath.Join(dir, "hash_walk_v8"))
	must(t, os.Symlink(precious, filepath.Join(dir, "fd_walk_v8")))
	must(t, os.Symlink(precious, filepath.Join(dir, "mine")))
	must(t, os.Mkdir(filepath.Join(dir, "fd_walk_v"+strconv.Itoa(recordVersion)+"_by_1"), 0o700))
	if err := Unpin(dir); !errors.Is(err, errNotOurs) || strings.Count(err.Error(), " stays: ") != 4 {
		t.Errorf("unpin among others' files: %v", err)
	}
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		if !others[e.Name()] {
			t.Errorf("%s is left", e.Name())
		}
	}
	if len(entries) != len(others) {
		t.Errorf("%v is left, want %v", entries, others)
	}
}

// TestPin_Leftover removes what a killed Pin left.
func TestPin_Leftover(t *testing.T) {
	dir := bpffs(t, "mode=755")
	must(t, Pin(dir, PinOptions{}))
	path := filepath.Join(dir, pinName(hashWalk))
	must(t, os.Rename(path, path+leftover+"1"))
	must(t, Pin(dir, PinOptions{}))
	if names, err := filepath.Glob(dir + "/*" + leftover + "*"); err != nil || len(names) != 0 {
		t.Errorf("%v (%v) is left", names, err)
	}
	must(t, opensPinned(dir))
}
