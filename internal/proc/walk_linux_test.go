package proc

import (
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/source"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

func walk(t testing.TB, f *FS, opt WalkOptions) *Walk {
	t.Helper()
	w := new(Walk)
	if err := f.Walk(context.Background(), opt, w); err != nil {
		t.Fatal(err)
	}
	return w
}

// Each kind of process shows all its sockets, each with each descriptor once,
// whether the kernel compares tables for us or not.
func TestWalk_FindsAllDescriptors(t *testing.T) {
	testenv.CheckLeaks(t)
	for _, kind := range []string{"sockets", "many", "dup", "sparse", "owntable", "mainown", "deadmain"} {
		for _, compare := range []bool{true, false} {
			name := kind + "/by reading"
			if compare {
				name = kind + "/by kcmp"
			}
			t.Run(name, func(t *testing.T) {
				r := start(t, kind, nil)
				f := open(t)
				f.own = f.own && compare
				w := walk(t, f, WalkOptions{})
				if diff := cmp.Diff(inOrder(r.Held), holdingsOf(w, r.PID)); diff != "" {
					t.Errorf("holdings (-want +got):\n%s", diff)
				}
				checkTask(t, w, r.PID)
			})
		}
	}
}

// checkTask checks that the process is told once, with the start that the
// kernel tells.
func checkTask(t *testing.T, w *Walk, pid int) {
	t.Helper()
	b, err := os.ReadFile("/proc/" + pidDir(uint32(pid)) + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	s, err := parseStat(b)
	if err != nil {
		t.Fatal(err)
	}
	var got []source.Task
	for _, task := range w.Tasks {
		if task.PID == uint32(pid) {
			got = append(got, task)
		}
	}
	want := source.Task{PID: uint32(pid), Start: s.Start}
	copy(want.Comm[:], s.Comm)
	if diff := cmp.Diff([]source.Task{want}, got); diff != "" {
		t.Errorf("tasks (-want +got):\n%s", diff)
	}
}

func TestWalk_SharedTableHasTwoOwners(t *testing.T) {
	r := start(t, "shared", nil)
	w := walk(t, open(t), WalkOptions{})
	want := inOrder(r.Held)
	for _, pid := range []int{r.PID, r.Child} {
		if diff := cmp.Diff(want, holdingsOf(w, pid)); diff != "" {
			t.Errorf("holdings of %d (-want +got):\n%s", pid, diff)
		}
		checkTask(t, w, pid)
	}
}

// A capture is a tree of plain files, whose directories are listed in no order.
func TestWalk_Capture(t *testing.T) {
	root := capture(t)
	w := walk(t, openAt(t, root), WalkOptions{WantNetNS: true})
	want := []held{{FD: 3, Inode: 4711}, {FD: 4, Inode: 4711}, {FD: 200, Inode: 18446744073709551615}}
	if diff := cmp.Diff(want, holdingsOf(w, 10)); diff != "" {
		t.Errorf("holdings (-want +got):\n%s", diff)
	}
	task := source.Task{PID: 10, Start: 1234}
	copy(task.Comm[:], "a b):\x1b[31m) (")
	if diff := cmp.Diff([]source.Task{task}, w.Tasks); diff != "" {
		t.Errorf("tasks (-want +got):\n%s", diff)
	}
	netns := []source.NetNSRef{{Inode: 4026532177, Path: root + "/10/fd/5"}}
	if diff := cmp.Diff(netns, w.NetNS); diff != "" {
		t.Errorf("namespaces (-want +got):\n%s", diff)
	}
	if w.Processes != 1 || len(w.Gaps) != 0 {
		t.Errorf("%d processes, gaps %v, want 1 and none", w.Processes, w.Gaps)
	}
}

func TestWalk_WantKeepsNothingElse(t *testing.T) {
	r := start(t, "dup", nil)
	start(t, "sockets", nil)
	want := NewInodes(1)
	want.Add(r.Held[0].Inode)
	w := walk(t, open(t), WalkOptions{Want: want})
	if len(w.Holdings) != 101 || len(w.Tasks) != 1 || w.Tasks[0].PID != uint32(r.PID) {
		t.Errorf("%d holdings, tasks %v, want 101 of process %d only", len(w.Holdings), w.Tasks, r.PID)
	}
	if w.Early {
		t.Error("the walk ended early, though all owners were asked for")
	}
}

// Where one owner is enough, the walk ends when the last socket has one.
func TestWalk_FirstOwnerEndsEarly(t *testing.T) {
	a, b := start(t, "many", nil), start(t, "many", nil)
	if a.PID > b.PID {
		a, b = b, a
	}
	want := NewInodes(2)
	want.Add(a.Held[0].Inode)
	want.Add(a.Held[10].Inode)
	opt := WalkOptions{Want: want, PIDs: []uint32{uint32(b.PID), uint32(a.PID)}, Workers: 1}
	f := open(t)
	if w := walk(t, f, opt); w.Links < 10000 || w.Early {
		t.Errorf("every owner: read %d links, early %t, want all 10,000", w.Links, w.Early)
	}
	opt.FirstOwner = true
	w := walk(t, f, opt)
	if w.Links > 100 || !w.Early {
		t.Errorf("first owner: read %d links, early %t, want at most 100", w.Links, w.Early)
	}
	if len(w.Holdings) != 2 || len(w.Tasks) != 1 {
		t.Errorf("got %d holdings in %d processes, want 2 in 1", len(w.Holdings), len(w.Tasks))
	}
	if w = walk(t, f, WalkOptions{Want: new(Inodes), FirstOwner: true}); w.Links != 0 || !w.Early {
		t.Errorf("nothing wanted: read %d links, want 0", w.Links)
	}
}

func TestWalk_ProcessChooses(t *testing.T) {
	r := start(t, "named", nil, "WHOSE_PROC_NAME=chosen one")
	other := start(t, "many", nil)
	var mu sync.Mutex
	asked := map[uint32]string{}
	w := walk(t, open(t), WalkOptions{Process: func(pid uint32, comm string) bool {
		mu.Lock()
		defer mu.Unlock()
		asked[pid] = comm
		return comm == "chosen one"
	}})
	if diff := cmp.Diff(inOrder(r.Held), holdingsOf(w, r.PID)); diff != "" {
		t.Errorf("holdings (-want +got):\n%s", diff)
	}
	if len(w.Tasks) != 1 || w.Links > 100 {
		t.Errorf("looked into %d processes by %d links, want only the chosen one", len(w.Tasks), w.Links)
	}
	if asked[uint32(other.PID)] == "" {
		t.Error("was not asked about the other process")
	}
}

// A thread's number is no process's, though the kernel has a directory for it.
func TestWalk_PIDs(t *testing.T) {
	r := start(t, "owntable", nil)
	f := open(t)
	w := walk(t, f, WalkOptions{PIDs: []uint32{uint32(r.TID)}})
	if len(w.Holdings) != 0 || w.Processes != 0 {
		t.Errorf("thread %d of %d: found %v", r.TID, r.PID, w.Holdings)
	}
	pid := uint32(r.PID)
	w = walk(t, f, WalkOptions{PIDs: []uint32{pid, 4194304, pid}})
	if diff := cmp.Diff(inOrder(r.Held), holdingsOf(w, r.PID)); diff != "" {
		t.Errorf("holdings (-want +got):\n%s", diff)
	}
	if w.Processes != 1 || w.Gone != 1 {
		t.Errorf("%d processes, %d gone, want 1 and 1", w.Processes, w.Gone)
	}
	if w = walk(t, f, WalkOptions{PIDs: []uint32{}}); w.Processes != 0 {
		t.Errorf("no process asked for, looked into %d", w.Processes)
	}
}

func TestWalk_HostileNames(t *testing.T) {
	f := open(t)
	for _, name := range []string{"a b):\x1b[31m) (", ") S 1 1 1", "x\ny", "\xff\xfe", "(((", " "} {
		r := start(t, "named", nil, "WHOSE_PROC_NAME="+name)
		w := walk(t, f, WalkOptions{PIDs: []uint32{uint32(r.PID)}})
		if len(w.Tasks) != 1 || commOf(w.Tasks[0]) != name {
			t.Errorf("name %q: got %v", name, w.Tasks)
		}
		checkTask(t, w, r.PID)
	}
	r := startProgram(t, copyOfTest(t, "a) R 1 (\n\x1b]0;"), "sockets", nil)
	w := walk(t, f, WalkOptions{PIDs: []uint32{uint32(r.PID)}})
	if len(w.Tasks) != 1 || commOf(w.Tasks[0]) != "a) R 1 (\n\x1b]0;" {
		t.Errorf("hostile program name: got %v", w.Tasks)
	}
}

// A user without rights sees his own and an account of the others; kernel
// threads, which hold nothing, do not count.
func TestWalk_Unprivileged(t *testing.T) {
	testenv.NeedRoot(t)
	r := start(t, "walk", nobody())
	if diff := cmp.Diff(inOrder(r.Held), holdingsOf(&r.Walk, r.PID)); diff != "" {
		t.Errorf("holdings (-want +got):\n%s", diff)
	}
	if holdingsOf(&r.Walk, os.Getpid()) != nil {
		t.Error("saw the descriptors of root's process")
	}
	if want := userProcessesOfOthers(t, r.PID); r.Walk.Denied > want+5 || r.Walk.Denied < 1 {
		t.Errorf("%d processes denied, want about %d", r.Walk.Denied, want)
	}
	want := whose.Gaps{{Kind: whose.GapProcesses, Cause: whose.CausePermission, Count: r.Walk.Denied}}
	if diff := cmp.Diff(want, r.Walk.Gaps); diff != "" {
		t.Errorf("gaps (-want +got):\n%s", diff)
	}
}

// The directory of a main thread that has exited is root's; those of the other
// threads are still their user's.
func TestWalk_UnprivilegedDeadMain(t *testing.T) {
	testenv.NeedRoot(t)
	dead := start(t, "deadmain", nobody())
	r := start(t, "walk", nobody())
	if diff := cmp.Diff(inOrder(dead.Held), holdingsOf(&r.Walk, dead.PID)); diff != "" {
		t.Errorf("holdings (-want +got):\n%s", diff)
	}
}

func userProcessesOfOthers(t *testing.T, self int) int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range entries {
		b, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue
		}
		if s, err := parseStat(b); err == nil && !s.Kernel && int(s.PID) != self {
			n++
		}
	}
	return n
}

func TestWalk_Hidepid(t *testing.T) {
	testenv.NeedRoot(t)
	dir := t.TempDir()
	r := start(t, "hidepid", &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}, "WHOSE_PROC_DIR="+dir)
	if len(r.Walk.Gaps) != 1 || r.Walk.Gaps[0].Cause != whose.CausePermission || !strings.Contains(r.Walk.Gaps[0].Detail, "hidepid=") {
		t.Errorf("gaps %v, want one that names the mount option", r.Walk.Gaps)
	}
	if r.Walk.Denied != 0 {
		t.Errorf("%d denied, want none: they are not to be seen", r.Walk.Denied)
	}
}

// Under the procfs of another pid namespace numbers mean nothing to kcmp.
func TestWalk_OtherPIDNamespace(t *testing.T) {
	testenv.NeedRoot(t)
	if !open(t).Own() {
		t.Error("/proc is not of our own pid namespace")
	}
	r := start(t, "walk", &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID})
	if r.Own {
		t.Error("the procfs of the outer pid namespace is taken for our own")
	}
	inodes := map[uint64]bool{}
	for _, h := range r.Walk.Holdings {
		inodes[h.Inode] = true
	}
	for _, h := range r.Held {
		if !inodes[h.Inode] {
			t.Errorf("socket %d not found", h.Inode)
		}
	}
}

// Where descriptors run out, the cause is told once, with how many it hit.
func TestWalk_NoDescriptorsLeft(t *testing.T) {
	start(t, "sockets", nil)
	start(t, "sockets", nil)
	r := start(t, "emfile", nil)
	want := whose.Gap{Kind: whose.GapProcesses, Cause: whose.CauseLimit}
	for _, g := range r.Walk.Gaps {
		if g.Cause != want.Cause {
			continue
		}
		if g.Kind != want.Kind || g.Count < 2 {
			t.Errorf("gap %+v, want two processes at least", g)
		}
		return
	}
	t.Errorf("gaps %+v, want one of %q", r.Walk.Gaps, want.Cause)
}

func TestWalk_ContextEnds(t *testing.T) {
	f := open(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var w Walk
	if err := f.Walk(ctx, WalkOptions{}, &w); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled before: error %v", err)
	}
	ctx, cancel = context.WithCancel(context.Background())
	first := sync.OnceFunc(func() {
		cancel()
		for ctx.Err() == nil {
		}
	})
	err := f.Walk(ctx, WalkOptions{Workers: 1, Process: func(uint32, string) bool { first(); return true }}, &w)
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("canceled in the middle: error %v", err)
	}
}

// Processes that come and go while we look are no error, and none is told
// without its start.
func TestWalk_Churn(t *testing.T) {
	testenv.CheckLeaks(t)
	f := open(t)
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			attr := &syscall.ProcAttr{Env: []string{"GORACE=atexit_sleep_ms=0"}, Files: []uintptr{null.Fd(), null.Fd(), null.Fd()}}
			if pid, err := syscall.ForkExec("/proc/self/exe", []string{"x", "-test.run=^$"}, attr); err == nil {
				syscall.Wait4(pid, nil, 0, nil)
			}
		}
	}()
	defer func() { close(stop); <-done }()
	r := start(t, "owntable", nil)
	var w Walk
	for range 300 {
		w.Reset()
		if err := f.Walk(context.Background(), WalkOptions{}, &w); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(inOrder(r.Held), holdingsOf(&w, r.PID)); diff != "" {
			t.Fatalf("holdings of a process that stands (-want +got):\n%s", diff)
		}
		known := map[uint32]bool{}
		for _, task := range w.Tasks {
			known[task.PID] = task.Start > 0
		}
		for _, h := range w.Holdings {
			if !known[h.PID] {
				t.Fatalf("holding %v without a task", h)
			}
		}
	}
}

// A low descriptor that opens and closes all the time must not hide one that
// stands above it.
func TestWalk_TableChurn(t *testing.T) {
	one := openSockets(1)[0]
	defer unix.Close(int(one.FD))
	const at = 900
	if err := unix.Dup3(int(one.FD), at, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(at)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				for _, h := range openSockets(20) {
					unix.Close(int(h.FD))
				}
			}
		}
	}()
	defer func() { close(stop); <-done }()
	f := open(t)
	opt := WalkOptions{PIDs: []uint32{uint32(os.Getpid())}, Want: NewInodes(1)}
	opt.Want.Add(one.Inode)
	for range 500 {
		w := walk(t, f, opt)
		if got := holdingsOf(w, os.Getpid()); !slices.ContainsFunc(got, func(h held) bool { return h.FD == at }) {
			t.Fatalf("descriptor %d was missed, got %v", at, got)
		}
	}
}

func TestWalk_ConcurrentUse(t *testing.T) {
	testenv.CheckLeaks(t)
	r := start(t, "dup", nil)
	f := open(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			var w Walk
			for range 5 {
				w.Reset()
				if err := f.Walk(context.Background(), WalkOptions{}, &w); err != nil {
					t.Error(err)
				}
				if n := len(holdingsOf(&w, r.PID)); n != 101 {
					t.Errorf("found %d descriptors, want 101", n)
				}
			}
		})
	}
	wg.Wait()
}

// A walk allocates for itself and not for processes or descriptors.
func TestWalk_Allocations(t *testing.T) {
	start(t, "many", nil)
	start(t, "owntable", nil)
	f := open(t)
	var w Walk
	ctx := context.Background()
	pass := func() {
		w.Reset()
		if err := f.Walk(ctx, WalkOptions{}, &w); err != nil {
			t.Fatal(err)
		}
	}
	for range 5 {
		pass()
	}
	if n := testing.AllocsPerRun(10, pass); n > 24 {
		t.Errorf("%v allocations for %d holdings in %d processes, want at most 24", n, len(w.Holdings), w.Processes)
	}
}

func TestFS_ClosedTwice(t *testing.T) {
	f, err := Open("")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if err := f.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("second close: %v", err)
	}
	if _, err := Open("/nonexistent"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("open of nothing: %v", err)
	}
}

// commOf returns the name of a task without its padding.
func commOf(t source.Task) string { return string(bytes.TrimRight(t.Comm[:], "\x00")) }
