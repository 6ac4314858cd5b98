// The side of the processes with the sockets: the test binary, started as a
// helper.

package collecttest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
)

// The environment of a helper.
const (
	envRole = "WHOSE_COLLECTTEST_ROLE"
	envArg  = "WHOSE_COLLECTTEST_ARG"
)

// Main runs the tests of a package or, in a helper process of a test, the
// helper's role. It does not return.
func Main(m *testing.M) {
	Help()
	os.Exit(m.Run())
}

// Help does the helper's role in a helper process, and does not return there. It is
// for a TestMain that ends with another's Main.
func Help() {
	if role := os.Getenv(envRole); role != "" {
		os.Exit(runHelper(role, os.Getenv(envArg)))
	}
}

// A report is a helper's message to its parent when everything stands.
type report struct {
	PID    int
	Truths []Truth
	Err    string
}

// A Stage is a helper's place for its sockets, with the account of them.
type Stage struct {
	netns  uint32
	truths []Truth
	// keep holds things safe from the garbage collector: files of children.
	keep []any
	// last is done after everything else stands, atEnd when the parent wants
	// no more.
	last  []func()
	atEnd func()
}

// A stageError ends the set-up; runHelper reports it.
type stageError struct{ err error }

// check ends the set-up if err is not nil.
func (st *Stage) check(err error, what string) {
	if err != nil {
		panic(stageError{fmt.Errorf("%s: %w", what, err)})
	}
}

// runHelper sets up the role, reports it on stdout and stays until stdin ends.
// It runs on goroutines of its own, so the main thread is free for a role in
// need of it.
func runHelper(role, arg string) int {
	status := make(chan int)
	go func() {
		st := &Stage{}
		err := st.set(role, arg)
		r := report{PID: os.Getpid(), Truths: st.truths}
		if err != nil {
			r.Err = err.Error()
		}
		if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
			fmt.Fprintln(os.Stderr, "report:", err)
		}
		io.Copy(io.Discard, os.Stdin) // until the parent wants no more
		if st.atEnd != nil {
			st.atEnd()
		}
		status <- 0
	}()
	return <-status
}

// set runs the role.
func (st *Stage) set(role, arg string) (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case stageError:
			err = r.err
		default:
			panic(r)
		}
	}()
	ino, err := netnsOf("/proc/thread-self/ns/net")
	st.check(err, "own network namespace")
	st.netns = ino
	hold := roles()[role]
	if hold == nil {
		return fmt.Errorf("no role %q", role)
	}
	hold(st, arg)
	for _, fn := range st.last {
		fn()
	}
	return nil
}

// netnsOf returns the inode of the namespace of a file.
func netnsOf(path string) (uint32, error) {
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil {
		return 0, err
	}
	return uint32(stat.Ino), nil
}

// roles are all roles of helpers: the cases, and the children of cases.
func roles() map[string]func(*Stage, string) {
	all := childRoles()
	for _, c := range append(Cases(), *Disorder()) {
		all["case "+c.Name] = func(st *Stage, _ string) { c.hold(st) }
	}
	return all
}

// A child is another helper, started by a helper.
type child struct {
	report
	stdin io.WriteCloser
	// rest is its output after its report, once stdin is closed.
	rest *bytes.Buffer
}

// child starts another helper and waits until everything of it stands. It gets
// the descriptors of fds as 3, 4 and so on.
func (st *Stage) child(role, arg string, fds ...int) *child {
	var files []*os.File
	for _, fd := range fds {
		dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		st.check(err, "duplicate descriptor for a child")
		files = append(files, os.NewFile(uintptr(dup), "socket"))
	}
	c, err := startHelper(role, arg, nil, files...)
	for _, f := range files {
		f.Close()
	}
	st.check(err, "start child "+role)
	st.keep = append(st.keep, c)
	return c
}

// startHelper starts the test binary as a helper and reads its report. start,
// if it is not nil, starts the command.
func startHelper(role, arg string, start func(*exec.Cmd) error, files ...*os.File) (*child, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(exe)
	// The race detector would have each helper sleep a second at its end.
	cmd.Env = append(os.Environ(), envRole+"="+role, envArg+"="+arg, "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = files
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if start == nil {
		start = (*exec.Cmd).Start
	}
	if err := start(cmd); err != nil {
		return nil, err
	}
	out := bufio.NewReader(stdout)
	c := &child{rest: new(bytes.Buffer)}
	c.stdin = &ender{stdin, cmd, out, c.rest}
	line, err := out.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &c.report)
	}
	if err == nil && c.Err != "" {
		err = errors.New(c.Err)
	}
	if err != nil {
		c.stdin.Close()
		return nil, fmt.Errorf("helper %s: %w", role, err)
	}
	return c, nil
}

// An ender is the stdin of a helper, whose end ends it; Close waits for this.
type ender struct {
	io.WriteCloser
	cmd  *exec.Cmd
	out  io.Reader
	rest *bytes.Buffer
}

func (e *ender) Close() error {
	e.WriteCloser.Close()
	_, err := e.rest.ReadFrom(e.out)
	return errors.Join(err, e.cmd.Wait())
}

// ip runs the program ip, in the helper's network namespace.
func (st *Stage) ip(args string) {
	out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput()
	st.check(err, fmt.Sprintf("ip %s: %s", args, out))
}

// self is the helper itself as an owner with these descriptors.
func self(fds ...int) []whose.Owner { return []whose.Owner{owner(os.Getpid(), fds...)} }

// owner is a helper process, with these descriptors.
func owner(pid int, fds ...int) whose.Owner {
	comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)) // compared with the answer, so not empty
	o := whose.Owner{Process: &whose.Process{PID: uint32(pid), Comm: strings.TrimSuffix(string(comm), "\n")}}
	for _, fd := range fds {
		o.FDs = append(o.FDs, int32(fd))
	}
	return o
}

// add notes a session.
func (st *Stage) add(label string, s whose.Session, open ...string) {
	st.truths = append(st.truths, Truth{Label: label, Session: s, Open: open})
}

// pid is the helper's own PID.
func (st *Stage) pid() int { return os.Getpid() }

// mainThreadEnded reports whether the main thread of this process is a zombie.
func mainThreadEnded() bool {
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(rest, "Z")
}
