package proc

import (
	"os"
	"path/filepath"
	"testing"
)

// capture makes a tree like a procfs of plain files and links.
func capture(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	file := func(name, text string) {
		t.Helper()
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	link := func(name, to string) {
		t.Helper()
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(to, path); err != nil {
			t.Fatal(err)
		}
	}
	file("stat", "cpu  1 2 3\nintr 1\nbtime 1700000000\nprocesses 4\n")
	file("10/stat", "10 (a b):\x1b[31m) () S 1 10 10 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 1234 0 0\n")
	file("10/comm", "a b):\x1b[31m) (\n")
	file("10/status", "Name:\ta b)\nTgid:\t10\nPid:\t10\nUid:\t0\t33\t0\t0\n")
	file("10/cmdline", "/usr/sbin/nginx\x00-g\x00daemon off;\x00")
	file("10/cgroup", "0::/system.slice/nginx.service\n")
	link("10/exe", "/usr/sbin/nginx")
	link("10/ns/net", "net:[4026531840]")
	for fd, to := range map[string]string{"0": "/dev/null", "3": "socket:[4711]", "4": "socket:[4711]",
		"5": "net:[4026532177]", "200": "socket:[18446744073709551615]", "201": "socket:[x]", "202": "anon_inode:[eventpoll]"} {
		link("10/fd/"+fd, to)
	}
	file("10/task/10/stat", "")
	file("1/root/etc/passwd", "root:x:0:0::/root:/bin/sh\nwww-data:x:33:33::/var/www:/bin/false\n")
	return root
}

func openAt(t *testing.T, root string) *FS {
	t.Helper()
	f, err := OpenCaptured(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}
