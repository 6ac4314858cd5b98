package bpfevent

import (
	"bytes"
	"errors"
	"fmt"
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

// TestMain lets the test binary be the processes that its tests need.
func TestMain(m *testing.M) {
	if role, ok := os.LookupEnv("WHOSE_BPFEVENT_ROLE"); ok {
		os.Exit(play(role, os.Getenv("WHOSE_BPFEVENT_ARG")))
	}
	os.Exit(m.Run())
}

// play is what a process of a test does.
func play(role, arg string) int {
	fail := func(err error) int { fmt.Fprintln(os.Stderr, role, err); return 1 }
	switch role {
	case "connect": // to a port, and be gone
		port, err := strconv.Atoi(arg)
		if err != nil {
			return fail(err)
		}
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		if err != nil {
			return fail(err)
		}
		if err := unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			return fail(err)
		}
	case "echo": // on a connection that was inherited
		if _, err := unix.Write(3, []byte("hello")); err != nil {
			return fail(err)
		}
		unix.Close(3)
	case "receive", "read": // from a socket that was inherited
		var err error
		if b := make([]byte, 10); role == "read" {
			_, err = unix.Read(3, b)
		} else {
			_, _, err = unix.Recvfrom(3, b, 0)
		}
		if err != nil {
			return fail(err)
		}
	case "exec": // after connecting, as something else that connects
		if code := play("connect", arg); code != 0 {
			return code
		}
		os.Setenv("WHOSE_BPFEVENT_ROLE", "connect")
		return fail(syscall.Exec("/proc/self/exe", []string{"second", "life"}, os.Environ()))
	case "inside": // of a pid namespace of its own
		if err := watchInside(arg); err != nil {
			return fail(err)
		}
	case "watch": // until it is killed
		source, err := Open(Config{})
		if err != nil {
			return fail(err)
		}
		fmt.Println("open")
		err = unix.Pause()
		return fail(errors.Join(err, source.Close()))
	}
	return 0
}

// actor makes a process of the test binary that plays a role.
func actor(t *testing.T, role, arg string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), "WHOSE_BPFEVENT_ROLE="+role, "WHOSE_BPFEVENT_ARG="+arg)
	cmd.Stderr = os.Stderr
	return cmd
}

// TestProcess_Short names a process that is gone when its record is read.
func TestProcess_Short(t *testing.T) {
	ns := testenv.NewNetNS(t)
	w := newWatch(t, inNetNS(ns))
	self, err := os.Executable()
	must(t, "find executable", err)
	var pid int
	var long = strings.Repeat("long ", 300)
	ns.Do(func() {
		l := listen(t, loopbacks["IPv4"])
		cmd := actor(t, "connect", fmt.Sprint(l.name().Port()), "one", "two words", "\x1b[31m", long)
		must(t, "run", cmd.Run())
		pid = cmd.Process.Pid
		l.accept(true)
	})
	byPID := func(k Kind) func(*Record) bool {
		return func(r *Record) bool { return r.Kind == k && r.Task.PID == uint32(pid) }
	}
	w.one("exit", byPID(ProcessExit))
	seen, open := w.one("seen", byPID(ProcessSeen)), w.one("open", byPID(TCPOpen))
	want := "/proc/self/exe\x00one\x00two words\x00\x1b[31m\x00" + long + "\x00"
	if got := string(seen.Text); got != want[:argsSize] {
		t.Errorf("command line %q, want %q", got, want[:argsSize])
	}
	if resolved, err := filepath.EvalSymlinks(self); err != nil || string(seen.Exe) != resolved {
		t.Errorf("executable %q, want %q (%v)", seen.Exe, resolved, err)
	}
	if seen.Task != open.Task || seen.Task.Parent != uint32(os.Getpid()) || seen.Task.Cgroup == 0 || seen.Time > open.Time {
		t.Errorf("seen %+v at %d, open %+v at %d", seen.Task, seen.Time, open.Task, open.Time)
	}
	comm := filepath.Base(self)
	if got := string(bytes.TrimRight(seen.Task.Comm[:], "\x00")); got != "exe" && got != comm[:min(len(comm), 15)] {
		t.Errorf("comm %q", got)
	}
	if w.want(1, "seen", byPID(ProcessSeen)); len(w.all(byPID(ProcessExec))) != 0 {
		t.Error("told of an exec before the process was named")
	}
}

// TestProcess_Exec tells of a process that becomes another program.
func TestProcess_Exec(t *testing.T) {
	ns := testenv.NewNetNS(t)
	w := newWatch(t, inNetNS(ns))
	var pid int
	ns.Do(func() {
		l := listen(t, loopbacks["IPv4"])
		cmd := actor(t, "exec", fmt.Sprint(l.name().Port()), "first")
		must(t, "run", cmd.Run())
		pid = cmd.Process.Pid
	})
	byPID := func(k Kind) func(*Record) bool {
		return func(r *Record) bool { return r.Kind == k && r.Task.PID == uint32(pid) }
	}
	w.want(2, "open", byPID(TCPOpen))
	w.one("exit", byPID(ProcessExit))
	seen, execed := w.one("seen", byPID(ProcessSeen)), w.one("exec", byPID(ProcessExec))
	if string(seen.Text) != "/proc/self/exe\x00first\x00" || string(execed.Text) != "second\x00life\x00" {
		t.Errorf("command lines %q, %q", seen.Text, execed.Text)
	}
	if seen.Task.Start != execed.Task.Start {
		t.Errorf("start %d, %d", seen.Task.Start, execed.Task.Start)
	}
}

// TestProcess_Inherited has a child use what its parent accepted, with an
// address and without: the parent is the one who accepted.
func TestProcess_Inherited(t *testing.T) {
	ns := testenv.NewNetNS(t)
	w := newWatch(t, inNetNS(ns))
	for _, named := range []bool{true, false} {
		t.Run(fmt.Sprintf("address %v", named), func(t *testing.T) {
			var client, server *sock
			ns.Do(func() {
				l := listen(t, loopbacks["IPv4"])
				client = connect(t, l.name())
				server = l.accept(named)
			})
			file := os.NewFile(uintptr(server.fd), "server")
			cmd := actor(t, "echo", "")
			cmd.ExtraFiles = []*os.File{file}
			must(t, "start", testenv.Start(t, cmd))
			must(t, "close", file.Close())
			server.fd = -1
			client.receive(5)
			must(t, "wait", cmd.Wait())
			client.readEnd()
			client.close()
			r := w.one("accept", of(TCPAccept, server.cookie))
			checkSelf(t, &r)
			end := w.one("close", of(TCPClose, server.cookie))
			if end.BytesSent != 5 || !end.Accepted {
				t.Errorf("close: %+v", end)
			}
		})
	}
}

// TestProcess_Never closes a connection that nobody accepted.
func TestProcess_Never(t *testing.T) {
	ns := testenv.NewNetNS(t)
	w := newWatch(t, inNetNS(ns))
	var l, client *sock
	ns.Do(func() {
		l = listen(t, loopbacks["IPv4"])
		client = connect(t, l.name())
	})
	at, from := l.name(), client.name()
	client.send(3)
	client.acknowledged()
	l.close()
	client.close()
	server := func(k Kind) func(*Record) bool {
		return func(r *Record) bool { return r.Kind == k && local(r) == at && remote(r) == from }
	}
	open, end := w.one("open", server(TCPOpen)), w.one("close", server(TCPClose))
	checkSelf(t, &end) // who ended the listener
	if open.Out || end.Accepted || !end.Queued || open.Task.PID != 0 || end.Cookie != open.Cookie || end.BytesReceived != 3 {
		t.Errorf("open %+v, close %+v", open, end)
	}
	if told := w.all(server(TCPAccept)); len(told) > 0 {
		t.Errorf("accepted: %+v", told)
	}
}
