package proc

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose/internal/netns"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// A helper is this test binary, started again to be a process of a certain
// kind. It says what it is in one line of JSON and stays until its input ends.

const helperEnv = "WHOSE_PROC_HELPER"

// report is what a helper says of itself.
type report struct {
	PID, TID, Child int
	Held            []held
	NetNS           uint32
	Walk            Walk
	Own             bool
	Tried           int
	Wrong           []string
	Err             string
}

// held is a socket of a helper.
type held struct {
	FD    int32
	Inode uint64
}

var helpers = map[string]func() report{
	"sockets":    func() report { return report{Held: openSockets(3)} },
	"many":       func() report { return report{Held: openSockets(5000)} },
	"dup":        dupHelper,
	"sparse":     sparseHelper,
	"owntable":   ownTableHelper,
	"mainown":    mainOwnHelper,
	"deadmain":   deadMainHelper,
	"shared":     sharedTableHelper,
	"netns":      netnsHelper,
	"netnsmain":  netnsMainHelper,
	"socketns":   socketNSHelper,
	"heldns":     heldNSHelper,
	"named":      namedHelper,
	"walk":       walkHelper,
	"hidepid":    hidepidHelper,
	"emfile":     emfileHelper,
	"roots":      rootsHelper,
	"mountproc":  mountProcHelper,
	"private":    privateHelper,
	"secretive":  secretiveHelper,
	"namespaces": namespacesHelper,
}

// A goroutine can be bound to the main thread before main alone. Helpers need
// it: so that it exits at their word, and so that other threads are not it.
func init() {
	if os.Getenv(helperEnv) != "" {
		runtime.LockOSThread()
	}
}

func TestMain(m *testing.M) {
	kind := os.Getenv(helperEnv)
	if kind == "" {
		os.Exit(m.Run())
	}
	r := helpers[kind]()
	r.PID = os.Getpid()
	say(r)
	os.Exit(0)
}

// say prints the report and waits for the end of the input.
func say(r report) {
	json.NewEncoder(os.Stdout).Encode(r)
	io.Copy(io.Discard, os.Stdin)
}

// start runs a helper and returns what it says; it ends with the test.
func start(t testing.TB, kind string, attr *syscall.SysProcAttr, env ...string) report {
	t.Helper()
	return startProgram(t, "/proc/self/exe", kind, attr, env...)
}

func startProgram(t testing.TB, program, kind string, attr *syscall.SysProcAttr, env ...string) report {
	t.Helper()
	cmd := exec.Command(program)
	cmd.Env = append(append(os.Environ(), helperEnv+"="+kind, "GORACE=atexit_sleep_ms=0"), env...)
	// A file of its own: whatever a helper leaves running must not hold what
	// the test writes to.
	stderr, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = stderr
	cmd.SysProcAttr = attr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := testenv.Start(t, cmd); err != nil {
		t.Fatalf("start helper %s: %v", kind, err)
	}
	t.Cleanup(func() {
		stdin.Close()
		if kind == "deadmain" {
			cmd.Process.Kill()
		}
		late := time.AfterFunc(10*time.Second, func() { cmd.Process.Kill() })
		cmd.Wait()
		late.Stop()
		stderr.Close()
		if said, _ := os.ReadFile(stderr.Name()); t.Failed() && len(said) > 0 {
			t.Logf("helper %s said: %s", kind, said)
		}
	})
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		t.Fatalf("helper %s says nothing: %v", kind, err)
	}
	var r report
	if err := json.Unmarshal(line, &r); err != nil {
		t.Fatalf("helper %s: %v", kind, err)
	}
	if r.Err != "" {
		t.Fatalf("helper %s: %s", kind, r.Err)
	}
	if cmd.SysProcAttr == nil || cmd.SysProcAttr.Cloneflags == 0 {
		if r.PID != cmd.Process.Pid {
			t.Fatalf("helper %s has pid %d, want %d", kind, r.PID, cmd.Process.Pid)
		}
	}
	return r
}

func openSockets(n int) []held {
	var all []held
	for range n {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			panic(err)
		}
		all = append(all, heldBy(fd))
	}
	return all
}

func heldBy(fd int) held {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		panic(err)
	}
	return held{FD: int32(fd), Inode: st.Ino}
}

func dupHelper() report {
	r := report{Held: openSockets(1)}
	for range 100 {
		fd, err := unix.Dup(int(r.Held[0].FD))
		if err != nil {
			panic(err)
		}
		r.Held = append(r.Held, heldBy(fd))
	}
	return r
}

// sparseHelper has sockets at numbers with large holes between them.
func sparseHelper() report {
	one := openSockets(1)[0]
	r := report{Held: []held{one}}
	for _, at := range []int{40, 41, 63, 64, 500, 4095, 4096, 9999} {
		if err := unix.Dup3(int(one.FD), at, unix.O_CLOEXEC); err != nil {
			panic(err)
		}
		r.Held = append(r.Held, heldBy(at))
	}
	return r
}

// onThread runs f on a thread of its own that stays as it is, and returns its
// id.
func onThread(f func()) int {
	tid := make(chan int)
	go func() {
		runtime.LockOSThread()
		f()
		tid <- unix.Gettid()
		select {}
	}()
	return <-tid
}

func ownTableHelper() report {
	r := report{Held: openSockets(1)}
	r.TID = onThread(func() {
		if err := unix.Unshare(unix.CLONE_FILES); err != nil {
			r.Err = err.Error()
			return
		}
		r.Held = append(r.Held, openSockets(2)...)
	})
	return r
}

// mainOwnHelper has a main thread with a table of its own.
func mainOwnHelper() report {
	onThread(func() {}) // stays in the table that was
	r := report{Held: openSockets(1)}
	if err := unix.Unshare(unix.CLONE_FILES); err != nil {
		return report{Err: err.Error()}
	}
	r.Held = append(r.Held, openSockets(1)...)
	return r
}

func deadMainHelper() report {
	if unix.Gettid() != os.Getpid() {
		return report{Err: "the main goroutine is not on the main thread"}
	}
	r := report{PID: os.Getpid(), Held: openSockets(2)}
	ended := make(chan struct{})
	go func() {
		<-ended
		for mainLives() {
			runtime.Gosched()
		}
		say(r)
		unix.Exit(0)
	}()
	close(ended)
	unix.Syscall(unix.SYS_EXIT, 0, 0, 0)
	return r
}

func mainLives() bool {
	b, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return true
	}
	s, err := parseStat(b)
	return err != nil || s.State != 'Z'
}

// sharedTableHelper makes a child that shares its descriptor table and nothing
// else. The child only waits: there is no runtime in it.
func sharedTableHelper() report {
	r := report{Held: openSockets(2)}
	child, _, errno := unix.RawSyscall6(unix.SYS_CLONE, unix.CLONE_FILES|uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 {
		return report{Err: errno.Error()}
	}
	if child == 0 {
		unix.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0, 0)
		for {
			unix.RawSyscall6(unix.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
		}
	}
	r.Child = int(child)
	return r
}

func threadNetNS() uint32 {
	inode, err := netns.Self()
	if err != nil {
		panic(err)
	}
	return inode
}

// netnsHelper has a thread in a network namespace of its own.
func netnsHelper() report {
	var r report
	r.TID = onThread(func() {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			r.Err = err.Error()
			return
		}
		r.NetNS = threadNetNS()
	})
	return r
}

// netnsMainHelper is in a namespace with its main thread.
func netnsMainHelper() report {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return report{Err: err.Error()}
	}
	return report{NetNS: threadNetNS()}
}

// inNewNetNS runs f on a thread in a network namespace of its own, returns the
// namespace, and waits until the thread has ended.
func inNewNetNS(f func() error) (inode uint32, err error) {
	tid := 0
	err = testenv.OnThread(func() error {
		tid = unix.Gettid()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		inode = threadNetNS()
		return f()
	})
	thread := "/proc/self/task/" + strconv.Itoa(tid)
	for deadline := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
		if _, gone := os.Stat(thread); gone != nil {
			return inode, err
		}
		if time.Now().After(deadline) {
			return inode, fmt.Errorf("thread %d does not end", tid)
		}
	}
}

// socketNSHelper holds a namespace by nothing but a socket.
func socketNSHelper() report {
	var r report
	var err error
	if r.NetNS, err = inNewNetNS(func() error { r.Held = openSockets(1); return nil }); err != nil {
		r.Err = err.Error()
	}
	return r
}

// heldNSHelper holds a namespace by nothing but a descriptor of it.
func heldNSHelper() report {
	var r report
	var err error
	r.NetNS, err = inNewNetNS(func() error {
		fd, err := unix.Open("/proc/thread-self/ns/net", openFile, 0)
		r.Held = []held{{FD: int32(fd)}}
		return err
	})
	if err != nil {
		r.Err = err.Error()
	}
	return r
}

func namedHelper() report {
	name, _ := unix.BytePtrFromString(os.Getenv("WHOSE_PROC_NAME"))
	r := report{Held: openSockets(1)}
	if err := unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(name)), 0, 0, 0); err != nil {
		return report{Err: err.Error()}
	}
	return r
}

// walkHelper walks by itself and reports what it found.
func walkHelper() report {
	r := report{Held: openSockets(2)}
	f, err := Open("")
	if err != nil {
		return report{Err: err.Error()}
	}
	r.Own = f.Own()
	if err := f.Walk(context.Background(), WalkOptions{}, &r.Walk); err != nil {
		return report{Err: err.Error()}
	}
	return r
}

// hidepidHelper mounts a procfs that hides others' processes, gives up root,
// and walks.
func hidepidHelper() report {
	dir := os.Getenv("WHOSE_PROC_DIR")
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return report{Err: err.Error()}
	}
	if err := unix.Mount("proc", dir, "proc", 0, "hidepid=2"); err != nil {
		return report{Err: "mount: " + err.Error()}
	}
	f, err := Open(dir)
	if err != nil {
		return report{Err: err.Error()}
	}
	if err := syscall.Setgid(65534); err != nil {
		return report{Err: err.Error()}
	}
	if err := syscall.Setuid(65534); err != nil {
		return report{Err: err.Error()}
	}
	var r report
	if err := f.Walk(context.Background(), WalkOptions{}, &r.Walk); err != nil {
		return report{Err: err.Error()}
	}
	return r
}

// emfileHelper walks with one descriptor to spare, where two are needed.
func emfileHelper() report {
	f, err := Open("")
	if err != nil {
		return report{Err: err.Error()}
	}
	top, err := unix.Dup(f.dir)
	if err != nil {
		return report{Err: err.Error()}
	}
	unix.Close(top)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(top) + 1, Max: uint64(top) + 1}); err != nil {
		return report{Err: err.Error()}
	}
	var r report
	if err := f.Walk(context.Background(), WalkOptions{Workers: 1}, &r.Walk); err != nil {
		return report{Err: err.Error()}
	}
	return r
}

// privateHelper keeps its mounts when those of others go.
func privateHelper() report {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return report{Err: err.Error()}
	}
	return report{}
}

// secretiveHelper has another effective user than real one, and shows nobody its files
// under /proc: they belong to root.
func secretiveHelper() report {
	if err := syscall.Setresuid(0, 65533, 0); err != nil {
		return report{Err: err.Error()}
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return report{Err: err.Error()}
	}
	return report{}
}

// namespacesHelper reports the network namespaces that it sees.
func namespacesHelper() report {
	f, err := Open("")
	if err != nil {
		return report{Err: err.Error()}
	}
	var r report
	r.Walk.NetNS, r.Walk.Gaps, err = f.Namespaces(context.Background())
	if err != nil {
		return report{Err: err.Error()}
	}
	return r
}

// holdingsOf returns what the walk found of a process, in order.
func holdingsOf(w *Walk, pid int) []held {
	var all []held
	for _, h := range w.Holdings {
		if h.PID == uint32(pid) {
			all = append(all, held{FD: h.FD, Inode: h.Inode})
		}
	}
	return inOrder(all)
}

func inOrder(all []held) []held {
	slices.SortFunc(all, func(a, b held) int {
		if a.FD != b.FD {
			return int(a.FD - b.FD)
		}
		return int(int64(a.Inode) - int64(b.Inode))
	})
	return all
}

func open(t testing.TB) *FS {
	t.Helper()
	f, err := Open("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// copyOfTest copies this binary to a file of that name.
func copyOfTest(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// nobody are the credentials of a user without rights.
func nobody() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
}
