package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// whose pin names those who may read now.
func TestReaders(t *testing.T) {
	const nobodys, theirs, many, elsewhere = 4_000_000, 4_000_001, 4_000_002, 4_000_003
	files := userFiles{groups: [][]string{
		{"empty", "x", "4000000", ""}, {"agents", "x", "4000001", "zabbix,alice"}, {"many", "x", "4000002", "a,b,c,d,e,f,g\x1b[2J"},
	}}
	for _, c := range []struct {
		mode fs.FileMode
		gid  uint32
		want string
	}{
		{0o400, 0, "root alone"},
		{0o400, theirs, "root alone"},
		{0o444, 0, "every user"},
		{0o440, 0, "root and the group root"},
		{0o440, theirs, "root and the group 4000001 (alice, zabbix)"},
		{0o440, nobodys, "root and the group 4000000, which has no user in /etc/group (usermod -aG 4000000 NAME)"},
		{0o440, many, "root and the group 4000002 (a, b, c, d, e and 2 more)"},
		{0o440, elsewhere, "root and the group 4000003"},
	} {
		if got := readers(c.mode, 0, c.gid, files); got != c.want {
			t.Errorf("%o, group %d: %q, want %q", c.mode, c.gid, got, c.want)
		}
	}
}

// The members of a group stand in both files.
func TestUserFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	files := readUserFiles(
		write("group", "root:x:0:\nwhose:x:990:zabbix,alice\n+::\nbroken\nothers:x:99:bob\n"),
		write("passwd", "root:x:0:0::/:/\nagent:x:5:990::/:/\nalice:x:7:990::/:/\nbob:x:6:99::/:/\n"))
	if got, want := files.members(990), []string{"agent", "alice", "zabbix"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := files.members(0); len(got) != 0 {
		t.Errorf("root's group has %q: root itself is named already", got)
	}
	if !files.has(99) || files.has(98) {
		t.Error("group 99 is in the file, and 98 is not")
	}
	none := readUserFiles(filepath.Join(dir, "no"), filepath.Join(dir, "no"))
	if got := none.members(990); len(got) != 0 || none.has(990) {
		t.Errorf("%q without files", got)
	}
}
