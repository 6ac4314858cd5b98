package netns

import (
	"os"
	"path/filepath"
	"testing"
)

func TestParseLink(t *testing.T) {
	if got, ok := ParseLink([]byte("net:[4026531840]")); !ok || got != 4026531840 {
		t.Errorf("got %d, %v", got, ok)
	}
	for _, link := range []string{"net:[4294967296]", "net:[]", "mnt:[1]", "net:[1", "net:[-1]", "net:[+1]", "net:[1x]", "net:1]", ""} {
		if got, ok := ParseLink([]byte(link)); ok {
			t.Errorf("%s: got %d, want no namespace", link, got)
		}
	}
	link, other := []byte("net:[4026531840]"), []byte("anon_inode:[eventpoll]")
	if n := testing.AllocsPerRun(100, func() { ParseLink(link); ParseLink(other) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// A captured tree has links that lead nowhere.
func TestInode(t *testing.T) {
	dir := t.TempDir()
	for name, target := range map[string]string{"net": "net:[7]", "mnt": "mnt:[7]"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if inode, err := Inode(filepath.Join(dir, "net")); err != nil || inode != 7 {
		t.Errorf("got %d, %v", inode, err)
	}
	for _, name := range []string{"mnt", "none"} {
		if inode, err := Inode(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s: got %d, want an error", name, inode)
		}
	}
}

func FuzzParseLink(f *testing.F) {
	f.Add([]byte("net:[4026531840]"))
	f.Fuzz(func(t *testing.T, b []byte) { ParseLink(b) })
}
