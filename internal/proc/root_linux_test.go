package proc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// rootsHelper asks the roots of a mount namespace of its own, and says of each
// what is wrong.
func rootsHelper() report {
	var r report
	note := func(what string, wrong bool) {
		r.Tried++
		if wrong {
			r.Wrong = append(r.Wrong, what)
		}
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return report{Err: err.Error()}
	}
	over := func(point string, look func()) {
		if err := unix.Mount("none", point, "tmpfs", 0, ""); err != nil {
			r.Err = err.Error()
			return
		}
		look()
		unix.Unmount(point, unix.MNT_DETACH)
	}
	opens := func(what string) {
		f, err := Open("")
		note(fmt.Sprintf("%s opens: %v", what, err), err == nil || !errors.Is(err, ErrNotProcfs) || whose.Hint(err) == "")
		if err == nil {
			f.Close()
		}
	}
	pid := os.Getpid()
	over(fmt.Sprintf("/proc/%d", pid), func() { opens("a /proc without us") })
	other := os.Getppid()
	f, err := Open("")
	if err != nil {
		return report{Err: err.Error()}
	}
	defer f.Close()
	gapAbout := func(w *Walk, kind whose.GapKind) bool {
		for _, g := range w.Gaps {
			if g.Kind == kind && g.Cause == whose.CauseFailed && strings.Contains(g.Detail, "mounted over") {
				return true
			}
		}
		return false
	}
	for _, below := range []string{"", "/fd"} {
		over(fmt.Sprintf("/proc/%d%s", other, below), func() {
			var w Walk
			err := f.Walk(context.Background(), WalkOptions{PIDs: []uint32{uint32(other)}}, &w)
			note(fmt.Sprintf("a process with a mount over %q: %v, %v", below, err, w.Gaps), err != nil || !gapAbout(&w, whose.GapProcesses))
		})
	}
	// What is mounted over a file is not read, and no link is followed.
	secret := filepath.Join(os.Getenv("WHOSE_PROC_DIR"), "secret")
	cmdline := fmt.Sprintf("/proc/%d/cmdline", other)
	if err := unix.Mount(secret, cmdline, "", unix.MS_BIND, ""); err != nil {
		return report{Err: err.Error()}
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", other))
	if err != nil {
		return report{Err: err.Error()}
	}
	s, err := parseStat(b)
	if err != nil {
		return report{Err: err.Error()}
	}
	p, err := f.Process(uint32(other), s.Start, whose.NeedCmdline)
	note(fmt.Sprintf("a file mounted over a command line: %+v, %v", p, err), err != nil || p.Cmdline != "")
	unix.Unmount(cmdline, unix.MNT_DETACH)
	for _, link := range []string{"self/cmdline", "1/cwd/etc/passwd", fmt.Sprintf("%d/root/etc/passwd", pid), fmt.Sprintf("%d/exe", pid)} {
		_, err := f.readFile(link, 10)
		note(fmt.Sprintf("%s: %v", link, err), !errors.Is(err, unix.ELOOP) && !errors.Is(err, fs.ErrNotExist))
	}
	// A procfs of a pid namespace without us: nobody's number in there means
	// anything here, and all others are missing.
	dir := filepath.Join(os.Getenv("WHOSE_PROC_DIR"), "proc")
	end, err := otherPIDs(dir)
	if err != nil {
		return report{Err: err.Error()}
	}
	_, err = Open(dir)
	note(fmt.Sprintf("another pid namespace: %v", err), !errors.Is(err, ErrNotProcfs) || !strings.Contains(err.Error(), "does not show this process"))
	unix.Unmount(dir, unix.MNT_DETACH)
	end()
	over("/proc", func() { opens("an empty /proc") })
	return r
}

// TestHostileRoots masks /proc and parts of it in a mount namespace: what is
// masked is an error or a gap, and what is mounted there is not read.
func TestHostileRoots(t *testing.T) {
	testenv.NeedCap(t, unix.CAP_SYS_ADMIN)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "proc"), 0o755); err != nil {
		t.Fatal(err)
	}
	r := start(t, "roots", &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}, "WHOSE_PROC_DIR="+dir)
	for _, wrong := range r.Wrong {
		t.Error(wrong)
	}
	testenv.Tried(t, r.Tried, len(r.Wrong))
}

// mountProcHelper mounts the procfs of its pid namespace.
func mountProcHelper() report {
	if err := unix.Mount("proc", os.Getenv("WHOSE_PROC_DIR"), "proc", 0, ""); err != nil {
		return report{Err: err.Error()}
	}
	return report{}
}

// otherPIDs mounts the procfs of another pid namespace at dir, until the returned
// function is called.
func otherPIDs(dir string) (end func(), err error) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), helperEnv+"=mountproc", "WHOSE_PROC_DIR="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID, Pdeathsig: unix.SIGKILL}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if _, err := stdout.Read(make([]byte, 1)); err != nil {
		return nil, err
	}
	return func() { stdin.Close(); _ = cmd.Wait() }, nil
}
