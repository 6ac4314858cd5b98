package proc

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/source"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

const allNeeds = whose.NeedCmdline | whose.NeedExe | whose.NeedCreds | whose.NeedCgroup

func startOf(t *testing.T, pid int) uint64 {
	t.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	s, err := parseStat(b)
	if err != nil {
		t.Fatal(err)
	}
	return s.Start
}

func TestProcess_Self(t *testing.T) {
	testenv.CheckLeaks(t)
	f := open(t)
	pid := os.Getpid()
	p, err := f.Process(uint32(pid), startOf(t, pid), allNeeds)
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	cmdline := strings.Join(os.Args, " ")
	if p.Exe != exe || p.Cmdline != cmdline[:min(len(cmdline), maxCmdline)] || p.Parent != uint32(os.Getppid()) || p.UID != uint32(os.Geteuid()) {
		t.Errorf("got %+v, want exe %s, cmdline %s, parent %d, uid %d", p, exe, cmdline, os.Getppid(), os.Geteuid())
	}
	if os.Geteuid() == 0 && p.User != "root" {
		t.Errorf("user %q, want root", p.User)
	}
	if age := time.Since(p.StartTime); age < -2*time.Second || age > time.Hour {
		t.Errorf("started %v ago", age)
	}
	if ns := p.StartTime.Nanosecond(); ns%int(source.Tick) != 0 {
		t.Errorf("start %v is no multiple of 10 ms", p.StartTime)
	}
}

func TestProcess_Script(t *testing.T) {
	script := filepath.Join(t.TempDir(), "x\x1b y.sh")
	if err := os.WriteFile(script, []byte("#!/bin/sh -u\necho up; read stop\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(script, "-c", "z")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := testenv.Start(t, cmd); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	f := open(t)
	pid := cmd.Process.Pid
	for needs, want := range map[whose.Needs]string{whose.NeedCmdline | whose.NeedExe: script, whose.NeedCmdline: ""} {
		if p, err := f.Process(uint32(pid), startOf(t, pid), needs); err != nil || p.Script != want {
			t.Errorf("script %q, %v; want %q", p.Script, err, want)
		}
	}
}

func TestProcess_Capture(t *testing.T) {
	f := openAt(t, capture(t))
	got, err := f.Process(10, 1234, allNeeds)
	want := whose.Process{PID: 10, StartTime: time.Unix(1700000012, 340e6), Comm: "a b):\x1b[31m) (",
		Cmdline: "/usr/sbin/nginx -g daemon off;", Exe: "/usr/sbin/nginx", UID: 33, User: "www-data", Parent: 1, Unit: "nginx.service"}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if got, err = f.Process(10, 1234, 0); err != nil || got.Cmdline+got.Exe+got.User+got.Unit != "" {
		t.Errorf("nothing asked for: got %+v, %v", got, err)
	}
}

// A number that is another process's now is not the process that was asked for.
func TestProcess_Gone(t *testing.T) {
	f := open(t)
	pid := os.Getpid()
	if p, err := f.Process(uint32(pid), startOf(t, pid)+1, 0); !errors.Is(err, ErrGone) {
		t.Errorf("other start: got %+v, %v", p, err)
	}
	if p, err := f.Process(4194304, 1, allNeeds); !errors.Is(err, ErrGone) {
		t.Errorf("no such process: got %+v, %v", p, err)
	}
}

// Of a command line of a megabyte the first 4,096 bytes are read.
func TestProcess_LongCommandLine(t *testing.T) {
	arg := strings.Repeat("x", 100_000)
	args := []string{"-c", "echo; read x", "a\x1b[31m\nb"}
	for range 10 {
		args = append(args, arg)
	}
	cmd := exec.Command("/bin/sh", args...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := testenv.Start(t, cmd); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer stdin.Close()
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	p, err := open(t).Process(uint32(cmd.Process.Pid), startOf(t, cmd.Process.Pid), whose.NeedCmdline)
	want := strings.Join(append([]string{"/bin/sh"}, args...), " ")[:maxCmdline]
	if err != nil || p.Cmdline != want {
		t.Errorf("%v, %d bytes: %.60q…, want %.60q…", err, len(p.Cmdline), p.Cmdline, want)
	}
}

func TestProcess_Unprivileged(t *testing.T) {
	testenv.NeedRoot(t)
	r := start(t, "sockets", nobody())
	p, err := open(t).Process(uint32(r.PID), startOf(t, r.PID), allNeeds)
	if err != nil || p.UID != 65534 || p.User == "" {
		t.Errorf("got %+v, %v, want user 65534", p, err)
	}
}

// TestProcess_User wants the effective user that /proc/PID/status has, of a process whose
// files under /proc belong to another, of one without a main thread, and of all others
// that there are.
func TestProcess_User(t *testing.T) {
	testenv.NeedRoot(t)
	f := open(t)
	secretive := start(t, "secretive", nil)
	if p, err := f.Process(uint32(secretive.PID), startOf(t, secretive.PID), whose.NeedCreds); err != nil || p.UID != 65533 {
		t.Errorf("process with a user of its own that shows no files: user %d, %v, want 65533", p.UID, err)
	}
	start(t, "deadmain", nobody())
	pids, err := f.pids(nil, make([]byte, 1<<16))
	if err != nil {
		t.Fatal(err)
	}
	same, others := 0, make(map[uint32]bool)
	for _, pid := range pids {
		begun, _, err := f.Birth(pid)
		if err != nil {
			continue // ended
		}
		p, err := f.Process(pid, begun, whose.NeedCreds)
		text, errRead := f.readFile(pidPath(pid, "status"), maxStatus)
		again, err2 := f.Process(pid, begun, whose.NeedCreds)
		if err != nil || errRead != nil || err2 != nil || p.UID != again.UID {
			continue // ended, or another user's by now
		}
		if s, err := parseStatus(text); err != nil || s.UID != p.UID {
			t.Errorf("process %d: user %d, want %d of its status (%v)", pid, p.UID, s.UID, err)
		}
		same++
		others[p.UID] = true
	}
	if same < 3 || len(others) < 3 {
		t.Errorf("compared %d processes of %d users, want three of each", same, len(others))
	}
}

// The id of a group is the inode of its directory, and the number that the
// kernel's file handle for it holds.
func TestCgroups(t *testing.T) {
	testenv.CheckLeaks(t)
	testenv.NeedRoot(t)
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	mount := cgroupMount(b)
	if mount == "" {
		testenv.Missing(t, "cgroup v2", "none is mounted")
	}
	dir := filepath.Join(mount, "whose-test-"+strconv.Itoa(os.Getpid())+".slice")
	leaf := filepath.Join(dir, "nginx.service")
	if err := os.MkdirAll(leaf, 0o755); err != nil {
		testenv.Missing(t, "a writable cgroup v2", err.Error())
	}
	defer os.Remove(dir)
	defer os.Remove(leaf)
	handle, _, err := unix.NameToHandleAt(unix.AT_FDCWD, leaf, 0)
	if err != nil {
		t.Fatal(err)
	}
	id := binary.NativeEndian.Uint64(handle.Bytes())
	f := open(t)
	x, err := f.Cgroups(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	c, ok := x.Lookup(id)
	if want := (Cgroup{Path: strings.TrimPrefix(leaf, mount), Unit: "nginx.service"}); !ok || c != want {
		t.Errorf("group %d: got %+v, want %+v", id, c, want)
	}
	if c, ok := x.Lookup(1 << 60); ok {
		t.Errorf("no such group: got %+v", c)
	}
	if len(x.byID) < 3 {
		t.Errorf("%d groups, want the root and two", len(x.byID))
	}
	var none *CgroupIndex
	if _, ok := none.Lookup(1); ok {
		t.Error("no index knows a group")
	}
}

func FuzzNextEntry(f *testing.F) {
	entry := make([]byte, 24)
	entry[16], entry[18], entry[19] = 24, unix.DT_LNK, '7'
	f.Add(entry)
	f.Add(append(entry, 1, 2, 3))
	f.Fuzz(func(t *testing.T, b []byte) {
		for rest := b; len(rest) > 0; {
			before := len(rest)
			var name []byte
			if name, rest = nextEntry(rest); name == nil {
				break
			}
			if len(rest) >= before {
				t.Fatal("no progress")
			}
		}
	})
}
