package proc

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

const someHash = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// TestMark_ByPath wants names below a user's manager to be marked, and no others,
// where the owners of groups cannot be asked.
func TestMark_ByPath(t *testing.T) {
	f := &FS{}
	for path, want := range map[string]string{
		"/system.slice/docker-" + someHash + ".scope": "docker-" + someHash + ".scope 0123456789ab",
		"/docker/" + someHash:                         " 0123456789ab",
		"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + someHash + ".scope": "user@1000.service user/0123456789ab",
		"/user.slice/user-1000.slice/user@1000.service/app.slice/x.service/docker/" + someHash:   "user@1000.service user/0123456789ab",
		"/system.slice/a.service/user@0.service/docker-" + someHash + ".scope":                   "a.service user/0123456789ab",
		"/user.slice/user-1000.slice/session-3.scope":                                            "session-3.scope ",
	} {
		for _, line := range []string{"0::", "1:name=systemd:"} {
			b := []byte(line + path + "\n")
			c := f.mark(parseCgroups(b), b)
			if got := c.Unit + " " + c.Container; got != want {
				t.Errorf("%s%s: %q, want %q", line, path, got, want)
			}
		}
	}
}

// TestHostileCgroups makes groups in a part of the tree that a user may write, as
// he would, and asks for the process in them. None of his names may read like one
// of the system's, in /proc/PID/cgroup and by the id of the group.
func TestHostileCgroups(t *testing.T) {
	testenv.NeedRoot(t)
	f, err := Open("")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	point := f.unified()
	if point == "" {
		testenv.Lacks(t, "cgroup v2", "none is mounted, or this is a user namespace")
	}
	tried, wrong := 0, 0
	for _, writable := range []bool{false, true} {
		for _, name := range []string{"docker-" + someHash + ".scope", "nginx.service", "lxc.payload.web", "cri-containerd-" + someHash + ".scope", "kubepods/pod01234567-89ab-cdef-0123-456789abcdef/" + someHash} {
			base := filepath.Join(point, fmt.Sprintf("whosetest%d-%v", os.Getpid(), writable))
			if err := os.Mkdir(base, 0o755); err != nil {
				testenv.Lacks(t, "a cgroup v2 that root may write", err.Error())
			}
			group := filepath.Join(base, name)
			if err := os.MkdirAll(group, 0o755); err != nil {
				t.Fatal(err)
			}
			if writable {
				if err := os.Chown(base, 1000, 1000); err != nil {
					t.Fatal(err)
				}
			}
			cmd := exec.Command("sleep", "1000")
			if err := testenv.Start(t, cmd); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(group, "cgroup.procs"), fmt.Append(nil, cmd.Process.Pid), 0); err != nil {
				t.Fatal(err)
			}
			byProcess, err := f.CgroupOf(uint32(cmd.Process.Pid))
			if err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(group)
			if err != nil {
				t.Fatal(err)
			}
			index, err := f.Cgroups(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			byID, ok := index.Lookup(info.Sys().(*syscall.Stat_t).Ino)
			tried++
			for how, c := range map[string]Cgroup{"by the process": byProcess, "by the id": byID} {
				names := strings.TrimSpace(c.Unit + " " + c.Container + " " + c.Pod)
				for _, n := range strings.Fields(names) {
					if !ok || whose.Claimed(n) != writable {
						t.Errorf("%s, writable %v, %s: %q", name, writable, how, n)
						wrong++
					}
				}
				if names == "" {
					t.Errorf("%s, %s: no name at all", name, how)
					wrong++
				}
			}
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			for dir := group; dir != filepath.Dir(base); dir = filepath.Dir(dir) {
				for i := 0; os.Remove(dir) != nil && i < 1000; i++ { // it takes the kernel a moment
				}
			}
		}
	}
	testenv.Tried(t, tried, wrong)
}
