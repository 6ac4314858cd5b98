package collect_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/collect/collecttest"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// The test binary starts itself again to be a process that holds sockets, or
// one that asks with other rights and limits than the test has.

const envHelper = "WHOSE_COLLECT_HELPER"

func TestMain(m *testing.M) {
	if text := os.Getenv(envHelper); text != "" {
		os.Exit(help(text))
	}
	collecttest.Main(m)
}

// An errand is what a helper is to do.
type errand struct {
	// Hold is how many connections it holds, both ends of each, beside a few
	// sockets of other kinds.
	Hold int
	// Queue is how many connections wait in the accept queue of each listener.
	Queue int
	// Name is its name, where it is not empty. Heirs are the names of children
	// that inherit its first sockets.
	Name  string
	Heirs []string
	// Asks are the questions that it answers, one after the other, by one
	// collector.
	Asks []ask
	// NoFile, where it is not 0, is its limit of open files. Spare, where it is
	// not 0, is how many of them are left to it.
	NoFile, Spare int
	// Loopback sets the loopback device up, MountProc mounts a procfs of its
	// own pid namespace.
	Loopback, MountProc bool
	// Refused are the system calls that it is refused, as a unit or container may
	// be.
	Refused []uint32
	// Dropped are the capabilities that it gives up.
	Dropped []uintptr
	// Exec has it execute itself over and over, with one listener, and Spawn
	// has it start children that inherit the listener and end.
	Exec, Spawn bool
	// Again tells that it has been executed again.
	Again bool

	inherited int
	// atEnd ends the heirs.
	atEnd []func() error
}

// An ask is a question in words.
type ask struct {
	Source, PinDir, Proc, NetNS, Filter string
	Needs                               whose.Needs
	States                              whose.Set[whose.State]
}

// A told is what a helper says.
type told struct {
	// PID is the number that the test knows it by.
	PID     int
	Answers []answer
	Err     string
}

// An answer is what came of an ask.
type answer struct {
	Rows     []string
	Coverage whose.Coverage
	Doubtful bool
	Err      string
}

// gap returns what the answer says of a kind of gap, "" where it says nothing.
func (a *answer) gap(kind whose.GapKind) string {
	for _, g := range a.Coverage.Gaps {
		if g.Kind == kind {
			return g.String()
		}
	}
	return ""
}

// within keeps the rows of a namespace.
func (a *answer) within(netns uint32) []string {
	return slices.DeleteFunc(slices.Clone(a.Rows), func(row string) bool {
		return !strings.Contains(row, fmt.Sprintf(" netns=%d ", netns))
	})
}

// help does an errand, says what came of it, and stays until its input ends.
func help(text string) int {
	var e errand
	var t told
	err := json.Unmarshal([]byte(text), &e)
	if err == nil && e.Again {
		return e.executeAgain()
	}
	if err == nil {
		t, err = e.run()
	}
	if err != nil {
		t.Err = err.Error()
	}
	if err := json.NewEncoder(os.Stdout).Encode(t); err != nil {
		fmt.Fprintln(os.Stderr, "helper:", err)
		return 1
	}
	switch {
	case e.Exec:
		return e.executeAgain()
	case e.Spawn:
		e.spawn()
	}
	io.Copy(io.Discard, os.Stdin) // until the test wants no more
	for _, end := range e.atEnd {
		if err := end(); err != nil {
			fmt.Fprintln(os.Stderr, "helper: end of an heir:", err)
			return 1
		}
	}
	return 0
}

// executeAgain executes this program again until its input ends.
func (e *errand) executeAgain() int {
	poll := []unix.PollFd{{Fd: 0, Events: unix.POLLIN}}
	if n, _ := unix.Poll(poll, 0); n > 0 {
		return 0
	}
	e.Again = true
	text, err := json.Marshal(e)
	if err == nil {
		err = os.Setenv(envHelper, string(text))
	}
	if err == nil {
		err = unix.Exec("/proc/self/exe", []string{"again"}, os.Environ())
	}
	fmt.Fprintln(os.Stderr, "helper: execute again:", err)
	return 1
}

// spawn starts children over and over.
func (e *errand) spawn() {
	l := os.NewFile(uintptr(e.inherited), "listener")
	for range 2 {
		go func() {
			for {
				cmd := exec.Command("/proc/self/exe", "-test.run=^$")
				cmd.Env = []string{envHelper + "={}", "GORACE=atexit_sleep_ms=0"}
				cmd.ExtraFiles = []*os.File{l}
				cmd.Run() // it may also be killed by the end of this process
			}
		}()
	}
}

func (e *errand) run() (t told, err error) {
	if err := e.limit(); err != nil {
		return t, err
	}
	if e.Loopback {
		if err := exec.Command("ip", "link", "set", "lo", "up").Run(); err != nil {
			return t, fmt.Errorf("set lo up: %w", err)
		}
	}
	if e.MountProc {
		if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
			return t, fmt.Errorf("mount procfs: %w", err)
		}
	}
	if e.Name != "" {
		if err := os.WriteFile("/proc/self/comm", []byte(e.Name), 0); err != nil {
			return t, err
		}
	}
	if e.Exec || e.Spawn {
		if e.inherited, err = listener(); err != nil {
			return t, err
		}
	}
	if e.Hold > 0 {
		fds, err := hold(e.Hold, e.Queue)
		if err != nil {
			return t, err
		}
		for _, name := range e.Heirs {
			end, err := inherit(name, fds[:8])
			if err != nil {
				return t, fmt.Errorf("start heir: %w", err)
			}
			e.atEnd = append(e.atEnd, end)
		}
	}
	if err := refuse(e.Refused); err != nil {
		return t, fmt.Errorf("refuse system calls: %w", err)
	}
	if err := drop(e.Dropped); err != nil {
		return t, fmt.Errorf("drop capabilities: %w", err)
	}
	c := collect.Open()
	defer c.Close()
	if err := e.exhaust(); err != nil {
		return t, err
	}
	for _, a := range e.Asks {
		t.Answers = append(t.Answers, a.answer(c))
	}
	return t, nil
}

func (e *errand) limit() error {
	if e.NoFile == 0 {
		return nil
	}
	n := uint64(e.NoFile)
	return unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: n})
}

// drop gives up capabilities, in all threads: they inherit what the executed
// program has.
func drop(caps []uintptr) error {
	if len(caps) == 0 || os.Getenv("WHOSE_COLLECT_DROPPED") != "" {
		return nil
	}
	runtime.LockOSThread()
	for _, c := range caps {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil {
			return err
		}
	}
	return unix.Exec("/proc/self/exe", os.Args, append(os.Environ(), "WHOSE_COLLECT_DROPPED=1"))
}

// refuse has the kernel refuse the system calls to all threads of this process,
// with EPERM.
func refuse(calls []uint32) error {
	if len(calls) == 0 {
		return nil
	}
	const loadNumber, jumpEqual, ret = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	prog := []unix.SockFilter{{Code: loadNumber}}
	for _, n := range calls {
		prog = append(prog, unix.SockFilter{Code: jumpEqual, Jf: 1, K: n},
			unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)})
	}
	prog = append(prog, unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ALLOW})
	f := unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&f)))
	if errno != 0 {
		return errno
	}
	return nil
}

// exhaust opens files until no more than Spare are left.
func (e *errand) exhaust() error {
	if e.Spare == 0 {
		return nil
	}
	if _, err := os.ReadFile("/proc/self/comm"); err != nil { // the runtime opens now what it needs
		return err
	}
	var open []int
	for {
		fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == unix.EMFILE {
			break
		}
		if err != nil {
			return err
		}
		open = append(open, fd)
	}
	for range min(e.Spare, len(open)) {
		unix.Close(open[len(open)-1])
		open = open[:len(open)-1]
	}
	return nil
}

func (a ask) options() (collect.Options, error) {
	expr, err := filter.Parse(a.Filter)
	return collect.Options{Source: a.Source, PinDir: a.PinDir, Proc: a.Proc, CapturedProc: true, NetNS: a.NetNS,
		Needs: a.Needs, States: a.States, Filter: expr}, err
}

func (a ask) answer(c *collect.Collector) (got answer) {
	opts, err := a.options()
	if err != nil {
		return answer{Err: err.Error()}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	found, err := c.Collect(ctx, &opts)
	if err != nil {
		return answer{Err: err.Error()}
	}
	defer found.Close()
	got.Coverage, got.Doubtful = found.Coverage, found.Doubtful()
	for s := range found.Sessions() {
		got.Rows = append(got.Rows, rowOf(&s))
	}
	return got
}

// patience is how long anything may take, on however busy a machine.
const patience = 2 * time.Minute

// rowOf writes every fact of a session.
func rowOf(s *whose.Session) string {
	row := appendFacts(nil, whose.OfSession, func(f *whose.Field) whose.Value { return f.Value(s.Row()) })
	row = appendFacts(row, whose.OfTCP, func(f *whose.Field) whose.Value { return f.Value(s.Row()) })
	return string(appendOwners(appendOwners(row, " owner", s.Owners), " peer", s.Peer))
}

func appendOwners(row []byte, title string, owners []whose.Owner) []byte {
	for i := range owners {
		row = append(row, title...)
		row = appendFacts(row, whose.OfOwner, func(f *whose.Field) whose.Value { return f.OwnerValue(&owners[i]) })
	}
	return row
}

func appendFacts(row []byte, of whose.Group, value func(*whose.Field) whose.Value) []byte {
	for _, f := range whose.Fields() {
		if f.Of != of {
			continue
		}
		if v := value(f); !v.IsZero() {
			row = append(append(row, ' '), f.Name...)
			row = append(row, '=')
			row = v.Append(row)
		}
	}
	return append(row, ' ')
}

// hold opens sockets in the process's network namespace: n connections to two
// listeners, of either family, with queue more that each has not accepted, and
// two UDP sockets. They stay open with the process.
func hold(n, queue int) (fds []int, err error) {
	for i, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := socket(netip.MustParseAddrPort(addr), unix.SOCK_STREAM, unix.Bind)
		if err == nil {
			err = unix.Listen(l, max(n, queue, 16))
		}
		if err != nil {
			return nil, fmt.Errorf("listen on %s: %w", addr, err)
		}
		fds = append(fds, l)
		for range (n+i)/2 + queue {
			c, err := connected(l, unix.SOCK_STREAM)
			if err != nil {
				return nil, err
			}
			fds = append(fds, c)
		}
		for range (n + i) / 2 {
			a, _, err := unix.Accept4(l, unix.SOCK_CLOEXEC)
			if err != nil {
				return nil, fmt.Errorf("accept: %w", err)
			}
			fds = append(fds, a)
		}
	}
	u, err := socket(netip.MustParseAddrPort("127.0.0.1:0"), unix.SOCK_DGRAM, unix.Bind)
	if err != nil {
		return nil, err
	}
	v, err := connected(u, unix.SOCK_DGRAM)
	return append(fds, u, v), err
}

// listener opens a listener that programs inherit.
func listener() (int, error) {
	l, err := socket(netip.MustParseAddrPort("127.0.0.1:0"), unix.SOCK_STREAM, unix.Bind)
	if err == nil {
		err = unix.Listen(l, 16)
	}
	if err == nil {
		_, err = unix.FcntlInt(uintptr(l), unix.F_SETFD, 0)
	}
	return l, err
}

// socket opens a socket and binds or connects it.
func socket(addr netip.AddrPort, kind int, attach func(int, unix.Sockaddr) error) (int, error) {
	family, sa := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Port: int(addr.Port()), Addr: addr.Addr().As16()})
	if addr.Addr().Is4() {
		family, sa = unix.AF_INET, &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = attach(fd, sa)
	}
	if err != nil {
		return -1, fmt.Errorf("open socket of %v: %w", addr, err)
	}
	return fd, nil
}

// connected opens a socket that is connected to another.
func connected(to, kind int) (int, error) {
	sa, err := unix.Getsockname(to)
	if err != nil {
		return -1, err
	}
	var addr netip.AddrPort
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		addr = netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		addr = netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
	}
	return socket(addr, kind, unix.Connect)
}

// inherit starts a child with the descriptors, which the function that it
// returns ends.
func inherit(name string, fds []int) (end func() error, err error) {
	text, err := json.Marshal(errand{Name: name})
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), envHelper+"="+string(text), "GORACE=atexit_sleep_ms=0")
	for _, fd := range fds {
		dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return nil, err
		}
		file := os.NewFile(uintptr(dup), "socket")
		defer file.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, file)
	}
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
	_, err = bufio.NewReader(stdout).ReadBytes('\n') // it has its name now
	return func() error {
		stdin.Close()
		return cmd.Wait()
	}, err
}

// send starts a helper, in the namespace where it is not nil, and returns what
// it says. It ends with the test.
func send(t testing.TB, ns *testenv.NetNS, attr *syscall.SysProcAttr, e errand) told {
	t.Helper()
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	// By this name whoever may not search the directories above can start it.
	cmd := exec.Command("/proc/self/exe")
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), envHelper+"="+string(text), "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = attr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if ns != nil {
		err = ns.Start(cmd)
	} else {
		err = testenv.Start(t, cmd)
	}
	if err != nil {
		t.Fatalf("start helper: %v", err)
	}
	t.Cleanup(func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("helper: %v", err)
		}
	})
	var said told
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &said)
	}
	if err != nil {
		t.Fatalf("helper says %.200q: %v", line, err)
	}
	if said.Err != "" {
		t.Fatalf("helper: %s", said.Err)
	}
	said.PID = cmd.Process.Pid
	return said
}

// holding starts a process that holds n connections in a fresh namespace.
func holding(t testing.TB, n int) (netns string, pid int) {
	t.Helper()
	ns := testenv.NewNetNS(t)
	said := send(t, ns, nil, errand{Hold: n})
	ns.Close() // from now on the helper alone holds it
	return fmt.Sprint(ns.Inode()), said.PID
}

// gather makes a collection that has to succeed.
func gather(t testing.TB, c *collect.Collector, opts collect.Options) []whose.Session {
	t.Helper()
	sessions, _ := gatherAll(t, c, opts)
	return sessions
}

// gatherAll is gather with the coverage.
func gatherAll(t testing.TB, c *collect.Collector, opts collect.Options) ([]whose.Session, *whose.Coverage) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	answer, err := c.Collect(ctx, &opts)
	if err != nil {
		t.Fatalf("collect by %s: %v", opts.Source, err)
	}
	defer answer.Close()
	return answer.Append(nil), &answer.Coverage
}

// sources are those that answer about this host.
func sources() []string { return []string{collect.BPF, collect.Netlink, collect.Procfs} }
