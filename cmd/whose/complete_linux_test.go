package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// TestComplete_Cgroup offers the units and containers that run on this host.
func TestComplete_Cgroup(t *testing.T) {
	testenv.NeedRoot(t)
	number := strconv.Itoa(os.Getpid())
	unit := "whosetest" + number + ".service"
	id := number + strings.Repeat("a", 64-len(number))
	sleepIn(t, unit)
	sleepIn(t, "docker-"+id+".scope")
	for _, c := range []struct{ field, typed, want string }{
		{"unit", "whosetest", unit},
		{"container", id[:len(number)+1], id[:12]},
	} {
		out, said, code := runs(t, exec.Command("whose", "__complete", c.field, "=", c.typed))
		if code != 0 || !strings.Contains(out, c.want+"\tsleep\n") {
			t.Errorf("%s = %s… is completed by %q (%d, %s), want %s", c.field, c.typed, out, code, said, c.want)
		}
	}
}

// sleepIn has a process in a control group of system.slice with this name.
func sleepIn(t *testing.T, name string) {
	t.Helper()
	root := "/sys/fs/cgroup"
	var stat unix.Statfs_t
	if err := unix.Statfs(root, &stat); err != nil || stat.Type != unix.CGROUP2_SUPER_MAGIC {
		root += "/unified"
	}
	if err := unix.Statfs(root, &stat); err != nil || stat.Type != unix.CGROUP2_SUPER_MAGIC {
		testenv.Missing(t, "cgroup v2", "it is not mounted on /sys/fs/cgroup or "+root)
	}
	slice := filepath.Join(root, "system.slice")
	if err := os.Mkdir(slice, 0o755); err == nil {
		t.Cleanup(func() { _ = os.Remove(slice) }) // it may be in use by then
	}
	group := filepath.Join(slice, name)
	if err := os.Mkdir(group, 0o755); err != nil {
		testenv.Missing(t, "a control group", err.Error())
	}
	t.Cleanup(func() { _ = os.Remove(group) }) // after its process, which ends first
	fd, err := unix.Open(group, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	cmd := exec.Command("sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: fd}
	if err := testenv.Start(t, cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
	})
}
