package main

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/seed-44df2ae6/whose/internal/netns"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// TestNetNSColumn asks for one listener of another network namespace from here, and
// from inside it: only here it is in another one.
func TestNetNSColumn(t *testing.T) {
	testenv.NeedRoot(t)
	space := testenv.NewNetNS(t)
	path, err := exec.LookPath("holder")
	if err != nil {
		t.Fatal(err)
	}
	holder := exec.Command(path, "listen", "gunicorn")
	in, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close() })
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := space.Start(holder); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 64)); err != nil {
		t.Fatal(err)
	}
	for _, source := range []string{"netlink", "procfs", "bpf"} {
		for _, words := range []string{"gunicorn", "-o wide gunicorn"} {
			args := append([]string{"--source", source}, strings.Fields(words)...)
			table, said, code := runs(t, exec.Command("whose", args...))
			if code != 0 || !strings.Contains(table, " NETNS ") || !strings.Contains(table, " process/gunicorn ") {
				t.Errorf("whose %v, from another namespace: status %d, %s\n%s", args, code, said, table)
			}
		}
	}
	inside := exec.Command("whose", "--source", "procfs", "gunicorn")
	var table strings.Builder
	inside.Stdout = &table
	if err := space.Start(inside); err != nil {
		t.Fatal(err)
	}
	if err := inside.Wait(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(table.String(), " gunicorn ") || strings.Contains(table.String(), "NETNS") {
		t.Errorf("from inside the namespace:\n%s", &table)
	}
	self, err := netns.Self()
	if err != nil {
		t.Fatal(err)
	}
	const first = 4026531833 // since Linux 6.18
	if init, err := netns.Inode("/proc/1/ns/net"); self != first && (err != nil || self != init || pidNS(t, "1") != "pid:[4026531836]") {
		t.Log("this namespace is not known to be the host's")
		return
	}
	listen(t)
	for _, source := range []string{"netlink", "procfs", "bpf"} {
		seen := exec.Command("whose", "--source", source, "pid", strconv.Itoa(os.Getpid()))
		var table strings.Builder
		seen.Stdout = &table
		if err := space.Start(seen); err != nil {
			t.Fatal(err)
		}
		if err := seen.Wait(); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(table.String(), " host ") {
			t.Errorf("the host's namespace by %s, seen from another:\n%s", source, &table)
		}
	}
}

func pidNS(t *testing.T, pid string) string {
	t.Helper()
	link, err := os.Readlink("/proc/" + pid + "/ns/pid")
	if err != nil {
		return ""
	}
	return link
}
