package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// secret is the content of a file of root's.
const secret = "root:$y$j9T$SECRET:19000:0:99999:7:::\n"

// A victim is a file of root's, and a tree of another user's like a procfs that
// leads to it.
type victim struct {
	program, tree string
	uid           uint32
}

// newVictim makes both, and a program with capabilities that the user may run,
// as README.md has it for Zabbix.
func newVictim(t *testing.T) *victim {
	t.Helper()
	testenv.NeedRoot(t)
	dir, err := os.MkdirTemp("", "whose-victim")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	v := &victim{program: filepath.Join(dir, "whose"), tree: filepath.Join(dir, "tree"), uid: 1000}
	check := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	check(os.Chmod(dir, 0o755))
	hidden := filepath.Join(dir, "hidden")
	check(os.WriteFile(hidden, []byte(secret), 0o600))
	files := map[string]string{
		"stat": "btime 1\n", "100/task/100/stat": "", "100/stat": "100 (evil) S 1 100 100 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 12345 0 0\n",
		"100/net/tcp": "  sl  local_address rem_address\n   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0\n",
	}
	links := map[string]string{
		"100/fd/3": "socket:[4711]", "100/ns/net": "net:[1]", "100/cmdline": hidden, "100/net/udp": hidden, "100/cgroup": hidden,
		"100/net/tcp6": hidden, "self": "100", "sys/net/ipv4/ip_local_port_range": hidden, "1/root/etc/passwd": hidden, "7/stat": hidden,
		"7/fd/3": "socket:[4711]", "100/mountinfo": hidden,
	}
	for name, text := range files {
		check(os.MkdirAll(filepath.Dir(filepath.Join(v.tree, name)), 0o755))
		check(os.WriteFile(filepath.Join(v.tree, name), []byte(text), 0o644))
	}
	for name, to := range links {
		check(os.MkdirAll(filepath.Dir(filepath.Join(v.tree, name)), 0o755))
		check(os.Symlink(to, filepath.Join(v.tree, name)))
	}
	v.copyProgram(t)
	return v
}

func (v *victim) copyProgram(t *testing.T) {
	t.Helper()
	from, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to, err := os.OpenFile(v.program, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(to, from)
	if err := errors.Join(err, to.Close()); err != nil {
		t.Fatal(err)
	}
	// struct vfs_cap_data of revision 2, effective.
	caps := binary.LittleEndian.AppendUint32(nil, 0x02000001)
	caps = binary.LittleEndian.AppendUint32(caps, 1<<unix.CAP_DAC_READ_SEARCH|1<<unix.CAP_SYS_PTRACE)
	caps = append(caps, make([]byte, 12)...)
	if err := unix.Setxattr(v.program, "security.capability", caps, 0); err != nil {
		testenv.Missing(t, "capabilities of files", err.Error())
	}
}

// run runs the program and returns its exit status and all it wrote.
func (v *victim) run(t *testing.T, uid uint32, env []string, args ...string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, v.program, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	cmd.Dir = "/"
	err := cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		t.Fatalf("%v: %v", args, err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

// TestHostileRaised has a program with capabilities, and root, read a tree of an
// ordinary user's with links to a file of root's.
func TestHostileRaised(t *testing.T) {
	v := newVictim(t)
	if status, out := v.run(t, v.uid, nil, "-q", "--source", "netlink"); status != exitFound && status != exitNothing {
		testenv.Missing(t, "programs with capabilities", out)
	}
	tried, wrong := 0, 0
	for _, args := range [][]string{
		{"--source", "procfs", "-l", "--template", "{{range .owners}}{{raw .cmdline}}{{end}}", "--proc", v.tree},
		{"-a", "-o", "json", "--fields", "+cmdline,unit,user", "--proc", v.tree}, {"count", "--proc", v.tree},
		{"zabbix", "count", "--proc", v.tree, `cmdline ~ "^root:"`}, {"zabbix", "count", "--proc", v.tree, `cmdline ~ "^toor:"`},
		{"zabbix", "get", "--proc", v.tree}, {"zabbix", "discovery", "--proc", v.tree}, {"doctor", "--proc", v.tree},
		{"doctor", "--zabbix", "--proc", v.tree}, {"watch", "--source", "snapshot", "--for", "10ms", "--proc", v.tree},
		{"--proc", v.tree + "/../tree"}, {"--proc=" + v.tree}, {"-a", "--proc", v.tree + "/7"},
	} {
		tried += 2
		status, out := v.run(t, v.uid, nil, args...)
		if status != exitUsage || !strings.Contains(out, "more rights here than you") {
			t.Errorf("with capabilities, %q: status %d, %s", args, status, out)
			wrong++
		}
		var said []string
		status, out = v.run(t, 0, nil, args...)
		for _, part := range []string{"SECRET", "19000", "99999"} {
			if strings.Contains(out, part) {
				said = append(said, part)
			}
		}
		if status == exitFound && args[0] != "doctor" && (args[0] != "zabbix" || args[1] != "get") || len(said) > 0 ||
			args[0] == "--source" && !strings.Contains(out, "is no procfs") {
			t.Errorf("as root, %q: status %d, %v: %s", args, status, said, out)
			wrong++
		}
	}
	for _, args := range [][]string{
		{"--pin-dir", v.tree}, {"pin", "--pin-dir", v.tree}, {"unpin", "--pin-dir", v.tree}, {"watch", "--pin-dir=" + v.tree},
		{"baseline", "check", "/etc/shadow"}, {"baseline", "check", "-", "--allow", "/etc/shadow"}, {"baseline", "save", v.tree + "/baseline"},
		{"diff", "/etc/shadow", "now"},
	} {
		tried++
		if status, out := v.run(t, v.uid, nil, args...); status != exitUsage || !strings.Contains(out, "more rights here than you") {
			t.Errorf("with capabilities, %q: status %d, %s", args, status, out)
			wrong++
		}
	}
	testenv.Tried(t, tried, wrong)
}

// TestRaised_Ordinary wants that nothing changes for what is nobody's: the usual
// directories by their names, and a captured tree for an ordinary user.
func TestRaised_Ordinary(t *testing.T) {
	v := newVictim(t)
	for _, args := range [][]string{{"-q"}, {"-q", "--pin-dir", "/sys/fs/bpf/whose"}} {
		if status, out := v.run(t, v.uid, nil, args...); status != exitFound && status != exitNothing {
			t.Errorf("%q: status %d, %s", args, status, out)
		}
	}
	if err := unix.Removexattr(v.program, "security.capability"); err != nil {
		t.Fatal(err)
	}
	status, out := v.run(t, v.uid, nil, "-l", "-o", "jsonl", "--proc", v.tree)
	if status != exitFound || !strings.Contains(out, `"local_port":8080`) || !strings.Contains(out, `"pid":100`) {
		t.Errorf("an ordinary user and a captured tree: status %d, %s", status, out)
	}
}

// TestHostileZone gives the time zone as a pipe, which would be waited for.
func TestHostileZone(t *testing.T) {
	v := newVictim(t)
	pipe := filepath.Join(filepath.Dir(v.tree), "pipe")
	if err := unix.Mkfifo(pipe, 0o644); err != nil {
		t.Fatal(err)
	}
	tried, wrong := 0, 0
	for _, zone := range []string{pipe, ":" + pipe, "../../.." + pipe, "/dev/zero"} {
		tried++
		status, out := v.run(t, 0, []string{"TZ=" + zone}, "watch", "--source", "snapshot", "--events", "standing", "--for", "100ms")
		if status != exitFound && status != exitNothing {
			t.Errorf("TZ=%s: status %d, %.200s", zone, status, out)
			wrong++
		}
	}
	testenv.Tried(t, tried, wrong)
}
