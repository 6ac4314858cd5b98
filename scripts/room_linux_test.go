package scripts

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// patience is how long something may take that a loaded machine delays.
const patience = 2 * time.Minute

// A standing room is one whose command goes on for ever, with a daemon beside.
type standing struct {
	cmd *exec.Cmd
	// held ends when the last process has ended that the starter or the room
	// started.
	held                    *os.File
	starter, room, outside  int
	first                   int // of the namespace
	lock, folder, temporary string
}

const stay = `setsid sleep 1000000 & echo "ready $WHOSE_ROOM" >&3; sleep 1000000; :`

// enter starts a shell, which starts a room.
func enter(t *testing.T) *standing {
	t.Helper()
	testenv.NeedRoot(t)
	testenv.NeedProgram(t, "bash", "flock", "setpriv", "unshare")
	s := &standing{lock: filepath.Join(t.TempDir(), "lock"), temporary: t.TempDir()}
	held, write, err := os.Pipe()
	must(t, err)
	t.Cleanup(func() { held.Close() })
	s.held = held
	s.cmd = exec.Command("bash", append([]string{"-c", `"$@"; exit $?`, "starter"}, s.roomFor("the thing", stay)...)...)
	s.cmd.Env = append(os.Environ(), "TMPDIR="+s.temporary)
	s.cmd.Stderr = os.Stderr
	s.cmd.ExtraFiles = []*os.File{write}
	must(t, testenv.Start(t, s.cmd))
	must(t, write.Close())
	t.Cleanup(func() { s.cmd.Process.Kill(); s.cmd.Wait() })

	line := make([]byte, 1000)
	must(t, held.SetReadDeadline(time.Now().Add(patience)))
	n, err := held.Read(line)
	must(t, err)
	s.folder = strings.TrimSpace(strings.TrimPrefix(string(line[:n]), "ready "))
	s.starter = s.cmd.Process.Pid
	s.room = child(t, s.starter)
	s.outside = child(t, s.room)
	s.first = child(t, s.outside)
	return s
}

// roomFor is the command of a room for the same lock.
func (s *standing) roomFor(what, script string) []string {
	return []string{"./room", s.lock, what, "bash", "-c", script}
}

// next runs another room for the same lock and returns what it says.
func (s *standing) next(t *testing.T, script string) string {
	t.Helper()
	args := s.roomFor("the thing", script)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "TMPDIR="+s.temporary)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("the next room: %v\n%s", err, out)
	}
	return string(out)
}

// gone waits until all processes have ended.
func (s *standing) gone(t *testing.T) {
	t.Helper()
	must(t, s.held.SetReadDeadline(time.Now().Add(patience)))
	if rest, err := io.ReadAll(s.held); err != nil || len(rest) > 0 {
		t.Fatalf("something goes on: %q, %v", rest, err)
	}
}

// child returns the only child of a process.
func child(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", pid))
	must(t, err)
	only, err := strconv.Atoi(strings.TrimSpace(string(text)))
	must(t, err)
	return only
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Whichever link is killed, nothing is left, and the next room stands.
func TestRoom_Killed(t *testing.T) {
	for _, link := range []struct {
		name string
		pid  func(*standing) int
	}{
		{"starter", func(s *standing) int { return s.starter }},
		{"room", func(s *standing) int { return s.room }},
		{"outside", func(s *standing) int { return s.outside }},
		{"first", func(s *standing) int { return s.first }},
	} {
		t.Run(link.name, func(t *testing.T) {
			s := enter(t)
			must(t, syscall.Kill(link.pid(s), syscall.SIGKILL))
			s.gone(t)
			s.next(t, "test -d $WHOSE_ROOM")
			left, err := os.ReadDir(s.temporary)
			must(t, err)
			if len(left) > 0 {
				t.Errorf("left in the folder for temporary files: %v", left)
			}
		})
	}
}

// A room that is told to end takes its folder along.
func TestRoom_Terminated(t *testing.T) {
	s := enter(t)
	must(t, syscall.Kill(s.room, syscall.SIGTERM))
	s.gone(t)
	if _, err := os.Stat(s.folder); err == nil {
		t.Errorf("%s is still there", s.folder)
	}
	if err := s.cmd.Wait(); s.cmd.ProcessState.ExitCode() != 128+int(syscall.SIGTERM) {
		t.Errorf("it ends with %v, want %d", err, 128+int(syscall.SIGTERM))
	}
}

// Who waits reads for what and for whom, and gets what it waits for.
func TestRoom_Waits(t *testing.T) {
	s := enter(t)
	args := s.roomFor("the thing", "exit 3")
	waiter := exec.Command(args[0], args[1:]...)
	waiter.Env = append(os.Environ(), "TMPDIR="+s.temporary)
	out, err := waiter.StderrPipe()
	must(t, err)
	must(t, testenv.Start(t, waiter))
	said := make([]byte, 1000)
	n, err := out.Read(said)
	must(t, err)
	for _, want := range []string{
		"waiting for the thing, ", fmt.Sprintf("held by PID %d (bash -c %s)", s.room, stay),
		fmt.Sprintf("started by PID %d (bash -c ", s.starter), "), since 2",
	} {
		if !bytes.Contains(said[:n], []byte(want)) {
			t.Errorf("it says %q, want %q in it", said[:n], want)
		}
	}
	must(t, syscall.Kill(s.room, syscall.SIGTERM))
	if err := waiter.Wait(); waiter.ProcessState.ExitCode() != 3 {
		t.Errorf("it ends with %v, want what its command ends with, 3", err)
	}
}

// The lock is of the room's own process: a daemon that it leaves does not hold it.
func TestRoom_LockIsItsOwn(t *testing.T) {
	s := enter(t)
	var stat syscall.Stat_t
	must(t, syscall.Stat(s.lock, &stat))
	for _, pid := range []int{s.outside, s.first} {
		fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		must(t, err)
		for _, fd := range fds {
			var of syscall.Stat_t
			if syscall.Stat(fmt.Sprintf("/proc/%d/fd/%s", pid, fd.Name()), &of) == nil && of.Ino == stat.Ino && of.Dev == stat.Dev {
				t.Errorf("process %d has the lock as descriptor %s", pid, fd.Name())
			}
		}
	}
}
