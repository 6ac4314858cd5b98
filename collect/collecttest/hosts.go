package collecttest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// Unpack makes a root of procfs, for Options.Proc, out of a captured host (see
// the command capture). The files of the archive stand under their paths, but
// for three kinds:
//
//	DIR/links         links of DIR, one a line: "fd/3 socket:[4711]"
//	DIR/NAME.quoted   the file NAME with bytes that are no text, as a Go string
//	netns/INODE/tcp   the table of a namespace, for all that are in it
//
// Those of testdata/hosts were written by hand in the layout of real hosts, so
// nobody's addresses are in them.
//
// A process gets one thread with the same descriptors and namespace unless the
// archive has threads of it.
func Unpack(t testing.TB, archive string) (root string) {
	t.Helper()
	data, err := os.ReadFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	root = t.TempDir()
	u := unpacker{root: root, threads: make(map[string]bool)}
	for _, f := range txtar.Parse(data).Files {
		if err := u.file(f); err != nil {
			t.Fatalf("unpack %s: %s: %v", archive, f.Name, err)
		}
	}
	return root
}

type unpacker struct {
	root    string
	threads map[string]bool // processes whose threads are in the archive
}

func (u *unpacker) file(f txtar.File) error {
	if !filepath.IsLocal(filepath.FromSlash(f.Name)) {
		return fmt.Errorf("it leads out of the root")
	}
	dir, name := filepath.Split(filepath.FromSlash(f.Name))
	data := f.Data
	switch {
	case name == "links":
		return u.links(dir, string(data))
	case strings.HasSuffix(name, ".quoted"):
		text, err := strconv.Unquote(strings.TrimSpace(string(data)))
		if err != nil {
			return err
		}
		name, data = strings.TrimSuffix(name, ".quoted"), []byte(text)
	}
	if err := os.MkdirAll(filepath.Join(u.root, dir), 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(u.root, dir, name), data, 0o644)
}

// links makes the links of a directory and, of a process, its thread.
func (u *unpacker) links(dir, text string) error {
	for line := range strings.Lines(text) {
		name, target, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if !ok || !filepath.IsLocal(name) {
			return fmt.Errorf("link %q: want a name and where it leads", line)
		}
		if err := u.link(filepath.Join(dir, name), target); err != nil {
			return err
		}
		pid := filepath.Clean(dir)
		if _, err := strconv.Atoi(pid); err != nil {
			continue
		}
		if strings.HasPrefix(name, "task/") {
			u.threads[pid] = true
			continue
		}
		if !u.threads[pid] && name != "exe" {
			if err := u.link(filepath.Join(pid, "task", pid, name), target); err != nil {
				return err
			}
		}
	}
	return os.MkdirAll(filepath.Join(u.root, dir, "fd"), 0o755)
}

// link makes one link. Beside a link to a namespace stands the directory of
// its tables.
func (u *unpacker) link(name, target string) error {
	path := filepath.Join(u.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.Symlink(target, path); err != nil {
		return err
	}
	inode, ok := strings.CutPrefix(target, "net:[")
	if !ok || !strings.HasSuffix(filepath.ToSlash(name), "ns/net") {
		return nil
	}
	tables := filepath.Join(u.root, "netns", strings.TrimSuffix(inode, "]"))
	return os.Symlink(tables, filepath.Join(filepath.Dir(filepath.Dir(path)), "net"))
}
