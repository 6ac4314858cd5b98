package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// openPTY returns both ends of a pseudo-terminal of that size.
func openPTY(t *testing.T, columns, lines uint16) (master, terminal *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		testenv.Missing(t, "a pseudo-terminal", err.Error())
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	size := &unix.Winsize{Col: columns, Row: lines}
	if err := unix.IoctlSetWinsize(int(terminal.Fd()), unix.TIOCSWINSZ, size); err != nil {
		t.Fatal(err)
	}
	return master, terminal
}

// runAt runs this test binary as whose at a terminal.
func runAt(t *testing.T, terminal *os.File, env []string, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, args...)
	cmd.Args[0] = "whose" // testscript.Main starts main for that name
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
	cmd.Env = append([]string{"TERM=xterm", "PATH=" + os.Getenv("PATH")}, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := testenv.Start(t, cmd); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// readUntil reads from the terminal until what was read holds want.
func readUntil(t *testing.T, master *os.File, want string) string {
	t.Helper()
	var seen bytes.Buffer
	buf := make([]byte, 4096)
	deadline := time.Now().Add(30 * time.Second)
	for time.Now().Before(deadline) {
		n, err := master.Read(buf)
		seen.Write(buf[:n])
		if strings.Contains(seen.String(), want) {
			return seen.String()
		}
		if err != nil {
			t.Fatalf("no %q: %v, after %q", want, err, seen.String())
		}
	}
	t.Fatalf("no %q in 30 s, but %q", want, seen.String())
	return ""
}

// TestRedraw_Terminal draws frames that fit the terminal, again when its size
// changes, and gives it back as it was at Ctrl-C.
func TestRedraw_Terminal(t *testing.T) {
	master, terminal := openPTY(t, 60, 4)
	holders := []*os.File{listen(t), listen(t), listen(t), listen(t)}
	cmd := runAt(t, terminal, nil, "--watch", "0.1", "-l", "pid", fmt.Sprint(os.Getpid()))
	first := readUntil(t, master, "more"+clearLine)
	if !strings.HasPrefix(first, hideCursor+clearScreen+goHome) {
		t.Errorf("begins with %q", first[:min(len(first), 20)])
	}
	if want := fmt.Sprintf("… %d more", len(holders)-1); !strings.Contains(first, want) {
		t.Errorf("a frame of 4 lines has no %q: %q", want, first)
	}
	frame := first[strings.LastIndex(first, goHome):]
	if n := strings.Count(frame, "\n"); n > 3 {
		t.Errorf("%d lines on a terminal of 4: %q", n+1, frame)
	}
	size := &unix.Winsize{Col: 60, Row: 20}
	if err := unix.IoctlSetWinsize(int(terminal.Fd()), unix.TIOCSWINSZ, size); err != nil {
		t.Fatal(err)
	}
	readUntil(t, master, "4 sessions")
	readUntil(t, master, clearBelow)
	if _, err := master.Write([]byte{3}); err != nil { // Ctrl-C
		t.Fatal(err)
	}
	readUntil(t, master, showCursor)
	_ = cmd.Wait() // how it ended is looked at below
	if code := cmd.ProcessState.ExitCode(); code != exitInterrupted {
		t.Errorf("ended with %v, want exit status %d", cmd.ProcessState, exitInterrupted)
	}
}

// TestRedraw_Quit ends at q, which is not shown, and gives the terminal back as it
// was.
func TestRedraw_Quit(t *testing.T) {
	master, terminal := openPTY(t, 60, 10)
	defer listen(t).Close()
	before, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	cmd := runAt(t, terminal, nil, "--watch", "0.1", "-l", "pid", fmt.Sprint(os.Getpid()))
	readUntil(t, master, clearBelow)
	if _, err := master.Write([]byte("xq")); err != nil {
		t.Fatal(err)
	}
	if rest := readUntil(t, master, showCursor); strings.ContainsAny(rest, "xq") {
		t.Errorf("the terminal shows what was typed: %q", rest)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("ended with %v", err)
	}
	after, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	if err != nil || after.Lflag != before.Lflag {
		t.Errorf("flags of the terminal are %#x, were %#x, %v", after.Lflag, before.Lflag, err)
	}
}

// TestRemarks_Terminal: what is said to a person is not said to a file.
func TestRemarks_Terminal(t *testing.T) {
	for _, test := range []struct{ args, want, not string }{
		{"process no-such-process", "whose: no session matches: process no-such-process", "PROTO"},
		{"dcotor", "did you mean the command whose doctor?", "PROTO"},
		{"version", "whose ", "\x1b"},
	} {
		master, terminal := openPTY(t, 200, 24)
		cmd := runAt(t, terminal, nil, strings.Fields(test.args)...)
		terminal.Close()
		said, err := io.ReadAll(master) // EIO when the last writer has gone
		if len(said) == 0 {
			t.Fatal(err)
		}
		_ = cmd.Wait() // its status is the business of the scripts
		if !strings.Contains(string(said), test.want) || strings.Contains(string(said), test.not) {
			t.Errorf("whose %s says %q, want %q", test.args, said, test.want)
		}
	}
}

// TestColor_Terminal: colours at a terminal, unless NO_COLOR or a dumb one.
func TestColor_Terminal(t *testing.T) {
	listen(t)
	for env, want := range map[string]bool{"": true, "NO_COLOR=1": false, "TERM=dumb": false, "NO_COLOR=": true} {
		master, terminal := openPTY(t, 100, 24)
		cmd := runAt(t, terminal, []string{env}, "-l", "pid", fmt.Sprint(os.Getpid()))
		terminal.Close()
		said, err := io.ReadAll(master)
		if len(said) == 0 {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("with %q: %v", env, err)
		}
		if got := bytes.Contains(said, []byte("\x1b[")); got != want {
			t.Errorf("with %q: colours %v, want %v: %q", env, got, want, said)
		}
	}
}

// listen opens a TCP listener of this process for the length of the test.
func listen(t *testing.T) *os.File {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "listener")
	t.Cleanup(func() { f.Close() })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 1); err != nil {
		t.Fatal(err)
	}
	return f
}
