//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// buildLoad compiles the load generator.
func buildLoad(t *testing.T) string {
	t.Helper()
	needRoot(t)
	needCompiler(t)
	program := filepath.Join(t.TempDir(), "load")
	if err := build(t.Context(), "..", "cc", "-O2", "-static", "-Wall", "-Wextra", "-Werror", "-o", program, "load/load.c"); err != nil {
		t.Fatal(err)
	}
	return program
}

// shape counts what the children of a process have.
type shape struct {
	processes, sockets, others int
	namespaces                 map[string]bool
}

// look reads the shape of a load from /proc. A socket is told from one of
// another kind by the tables of the namespace that it is in.
func look(t *testing.T, parent int) shape {
	t.Helper()
	s := shape{namespaces: map[string]bool{}}
	for _, pid := range childrenOf(t, parent) {
		s.processes++
		netns, err := os.Readlink("/proc/" + pid + "/ns/net")
		if err != nil {
			t.Fatal(err)
		}
		s.namespaces[netns] = true
		tcp, err := os.ReadFile("/proc/" + pid + "/net/tcp")
		if err != nil {
			t.Fatal(err)
		}
		inodes := map[string]bool{}
		for line := range strings.Lines(string(tcp)) {
			// 01 is ESTABLISHED; the others are LISTEN.
			if f := strings.Fields(line); len(f) > 9 {
				inodes["socket:["+f[9]+"]"] = f[3] == "01"
			}
		}
		fds, err := filepath.Glob("/proc/" + pid + "/fd/*")
		if err != nil {
			t.Fatal(err)
		}
		for _, fd := range fds {
			number, _ := strconv.Atoi(filepath.Base(fd))
			target, err := os.Readlink(fd)
			if err != nil {
				t.Fatal(err)
			}
			established, tcp := inodes[target]
			switch {
			case established:
				s.sockets++
			case !tcp && number > 2:
				s.others++
			}
		}
	}
	return s
}

func childrenOf(t *testing.T, parent int) []string {
	t.Helper()
	text, err := os.ReadFile("/proc/" + strconv.Itoa(parent) + "/task/" + strconv.Itoa(parent) + "/children")
	if errors.Is(err, os.ErrNotExist) {
		missing(t, "a kernel with CONFIG_PROC_CHILDREN", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(text))
}

func TestLoad_Shape(t *testing.T) {
	program := buildLoad(t)
	l := load{sockets: 210, procs: 10, other: 3, fds: 7, namespaces: 3}
	s, err := start(t.Context(), program, l)
	if err != nil {
		t.Fatal(err)
	}
	got := look(t, s.cmd.Process.Pid)
	pids := childrenOf(t, s.cmd.Process.Pid)
	if err := s.stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	if got.processes != 13 || got.sockets != 210 || got.others != 13*7 || len(got.namespaces) != 3 {
		t.Errorf("%d processes, %d sockets, %d others, %d namespaces; want 13, 210, 91, 3",
			got.processes, got.sockets, got.others, len(got.namespaces))
	}
	if len(s.namespaces) != 3 {
		t.Errorf("%d namespaces are named, want 3", len(s.namespaces))
	}
	mustBeGone(t, pids)
}

// TestLoad_Killed shows that nothing outlives a load that had no time to clean up.
func TestLoad_Killed(t *testing.T) {
	program := buildLoad(t)
	s, err := start(t.Context(), program, load{sockets: 20, procs: 4, other: 2, namespaces: 1})
	if err != nil {
		t.Fatal(err)
	}
	pids := childrenOf(t, s.cmd.Process.Pid)
	if len(pids) != 6 {
		t.Errorf("%d children, want 6", len(pids))
	}
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := s.stop(); err == nil {
		t.Error("a killed load ended without an error")
	}
	mustBeGone(t, pids)
}

func TestLoad_BadFlags(t *testing.T) {
	program := buildLoad(t)
	for _, args := range [][]string{
		{"-sockets", "3", "-procs", "1"}, {"-sockets", "2"}, {"-nonsense", "1"}, {"-procs", "x"}, {"-procs"},
	} {
		var exit *exec.ExitError
		err := exec.CommandContext(t.Context(), program, args...).Run()
		if !errors.As(err, &exit) || exit.ExitCode() != 2 {
			t.Errorf("load %q: %v, want exit status 2", args, err)
		}
	}
}

// mustBeGone waits for the processes to end; a zombie that nobody reaps counts
// as ended.
func mustBeGone(t *testing.T, pids []string) {
	t.Helper()
	for _, word := range pids {
		pid, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(err)
		}
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue // gone and reaped
		}
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(poll, int(10*time.Second/time.Millisecond))
		if err != nil || n == 0 {
			t.Errorf("process %d is still there: %v", pid, err)
		}
		if err := unix.Close(fd); err != nil {
			t.Error(err)
		}
	}
}

func TestTimed(t *testing.T) {
	program := buildTimed(t)
	b := bench{opts: options{bound: time.Second}, programs: programs{timed: program}}
	output := filepath.Join(t.TempDir(), "out")
	s, err := b.once(context.Background(), []string{"sh", "-c", "echo app0001; echo x; exit 3"}, os.Getpid(), output)
	if err != nil {
		t.Fatal(err)
	}
	if s.status != 3 || s.rows != 2 || s.named != 1 || s.wall <= 0 || s.peakKiB <= 0 {
		t.Errorf("%+v, want status 3, 2 rows, 1 named, a time and a peak", s)
	}
	s, err = b.once(context.Background(), []string{"sleep", "60"}, os.Getpid(), output)
	if err != nil {
		t.Fatal(err)
	}
	if s.status != -int(unix.SIGKILL) || s.wall < time.Second || s.wall > 20*time.Second {
		t.Errorf("a command over the bound: status %d after %v, want %d after a second", s.status, s.wall, -int(unix.SIGKILL))
	}
}

// TestFloor holds the floor to its claim: it reads every socket of a load, in
// several windows of descriptors and several namespaces, on any number of
// threads.
func TestFloor(t *testing.T) {
	program := buildLoad(t)
	dir := t.TempDir()
	whose, bpffs := filepath.Join(dir, "whose"), filepath.Join(dir, "bpf")
	if err := os.Mkdir(bpffs, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("bpf", bpffs, "bpf", 0, "mode=0755"); err != nil {
		missing(t, "a BPF file system", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(bpffs, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	pins := filepath.Join(bpffs, "whose")
	floor := filepath.Join(dir, "floor")
	if err := build(t.Context(), "..", cc(floor, "floor/floor.c", "floor/records.c")...); err != nil {
		t.Fatal(err)
	}
	if err := build(t.Context(), "../..", "go", "build", "-o", whose, "./cmd/whose"); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), whose, "pin", "--pin-dir", pins).CombinedOutput(); err != nil {
		missing(t, "pinned iterators", fmt.Errorf("%w: %s", err, out))
	}
	l := load{sockets: 4000, procs: 6, other: 3, fds: 7, namespaces: 3}
	s, err := start(t.Context(), program, l)
	if err != nil {
		t.Fatal(err)
	}
	for _, threads := range []string{"1", "2", "5"} {
		out, err := exec.CommandContext(t.Context(), floor, "-t", threads, pins).CombinedOutput()
		sockets, _ := strconv.Atoi(strings.TrimSpace(string(out))) // 0: it says another thing
		if least := l.sockets + l.procs; err != nil || sockets < least {
			t.Errorf("floor -t %s: %v, %q; want %d sockets at least", threads, err, out, least)
		}
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if out, err := exec.CommandContext(t.Context(), floor, dir).CombinedOutput(); err == nil {
		t.Errorf("floor of a folder without pins: %q, want an error", out)
	}
}

func buildTimed(t *testing.T) string {
	t.Helper()
	needRoot(t)
	needCompiler(t)
	program := filepath.Join(t.TempDir(), "timed")
	if err := build(t.Context(), "..", "cc", "-O2", "-static", "-Wall", "-Wextra", "-Werror", "-o", program, "timed/timed.c"); err != nil {
		t.Fatal(err)
	}
	return program
}
