package bpfiter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/bpf"
	"github.com/seed-44df2ae6/whose/internal/netns"
	"github.com/seed-44df2ae6/whose/internal/source"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// readerEnv names the directory that a child of the tests reads the pins of.
const readerEnv = "WHOSE_TEST_READ_PINS"

func TestMain(m *testing.M) {
	if dir := os.Getenv(readerEnv); dir != "" {
		json.NewEncoder(os.Stdout).Encode(readPins(dir))
		os.Exit(0)
	}
	if text := os.Getenv(attackEnv); text != "" {
		var a attack
		if err := json.Unmarshal([]byte(text), &a); err == nil {
			a.play()
		}
	}
	if os.Getenv(bareEnv) != "" {
		stayBare()
	}
	if n, err := strconv.Atoi(os.Getenv(socketsEnv)); err == nil {
		manySockets(n)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// An account is what a child says of what it read.
type account struct {
	Err        string
	Permission bool
	PID        int
	Listener   uint64 // its own
	Sockets    []source.Socket
	Holdings   []source.Holding
	Alone      []source.Holding // of a question for the child alone
	Inside     map[uint32]uint32
	Gaps       []whose.Gap
	Pinned     bool
}

func (a *account) snap() *source.Snapshot {
	return &source.Snapshot{Sockets: a.Sockets, Holdings: a.Holdings}
}

func readPins(dir string) account {
	a := account{PID: os.Getpid()}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err == nil {
		err = errors.Join(unix.Bind(fd, loopback()), unix.Listen(fd, 1))
	}
	if err != nil {
		return account{Err: err.Error()}
	}
	var st unix.Stat_t
	unix.Fstat(fd, &st)
	a.Listener = st.Ino
	s, err := OpenPinned(dir, Options{})
	var snap, alone source.Snapshot
	if err == nil {
		me := asking(source.Query{PIDs: []uint32{uint32(os.Getpid())}})
		err = errors.Join(s.Read(context.Background(), asking(source.Query{}), &snap), s.Read(context.Background(), me, &alone), s.Close())
	}
	if err != nil {
		a.Err, a.Permission = err.Error(), errors.Is(err, fs.ErrPermission)
	}
	a.Sockets, a.Holdings, a.Gaps, a.Pinned = snap.Sockets, snap.Holdings, snap.Gaps, snap.Pinned
	a.Alone, a.Inside = alone.Holdings, snap.Inside
	return a
}

// asChild reads the pins in a child with these attributes.
func asChild(t *testing.T, dir string, attr *syscall.SysProcAttr) account {
	t.Helper()
	cmd := exec.Command("/proc/self/exe") // the test's own path may be closed to others
	cmd.Env, cmd.Dir, cmd.SysProcAttr, cmd.Stderr = []string{readerEnv + "=" + dir}, "/", attr, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("child: %v", err)
	}
	var a account
	if err := json.Unmarshal(out, &a); err != nil {
		t.Fatalf("child said %q: %v", out, err)
	}
	return a
}

// bpffs mounts a bpffs for the test and returns a directory in it, which is
// not made yet.
func bpffs(t *testing.T, options string) string {
	t.Helper()
	testenv.NeedCap(t, unix.CAP_SYS_ADMIN, unix.CAP_BPF, unix.CAP_PERFMON)
	base, err := os.MkdirTemp("", "whose-bpffs")
	must(t, err)
	must(t, os.Chmod(base, 0o755))
	must(t, unix.Mount("bpf", base, "bpf", 0, options))
	t.Cleanup(func() {
		if err := errors.Join(unix.Unmount(base, 0), os.Remove(base)); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return filepath.Join(base, "whose")
}

const (
	someGroup = 54321
	nobody    = 65534
)

func asUser(uid uint32, groups ...uint32) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: nobody, Groups: groups}}
}

// TestPin pins for a group, and lets its members and others read.
func TestPin(t *testing.T) {
	testenv.CheckLeaks(t)
	dir := bpffs(t, "mode=0755")
	gid := someGroup
	must(t, Pin(dir, PinOptions{GID: &gid}))
	ns := testenv.NewNetNS(t)
	l, addr := listen(t, ns)
	c := socket(t, ns, unix.AF_INET, unix.SOCK_STREAM, 0)
	must(t, unix.Connect(c, addr))

	member := asChild(t, dir, asUser(nobody, someGroup))
	if member.Err != "" {
		t.Fatalf("a member of the group: %s", member.Err)
	}
	for name, ino := range map[string]uint64{"listener": inodeOf(t, l), "client": inodeOf(t, c)} {
		h := holders(member.snap(), ino)
		if len(find(member.snap(), ino)) != 1 || len(h) != 1 || h[0].PID != uint32(os.Getpid()) {
			t.Errorf("a member of the group: %s: %+v held by %+v", name, find(member.snap(), ino), h)
		}
	}
	if !member.Pinned || len(member.Gaps) != 0 {
		t.Errorf("a member of the group: pinned %v, gaps %v", member.Pinned, member.Gaps)
	}
	if other := asChild(t, dir, asUser(nobody)); !other.Permission {
		t.Errorf("not a member of the group: %q, want a permission error", other.Err)
	}
	must(t, Unpin(dir))
	if none := asChild(t, dir, asUser(nobody, someGroup)); !strings.Contains(none.Err, "no such file") {
		t.Errorf("after unpin: %q", none.Err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after unpin the directory is there: %v", err)
	}
	must(t, Unpin(dir)) // nothing to do is no error
}

// TestPin_OtherPIDNamespace reads from inside: own processes by their numbers
// there, others' sockets without holders, and a gap that says so.
func TestPin_OtherPIDNamespace(t *testing.T) {
	dir := bpffs(t, "")
	must(t, Pin(dir, PinOptions{Mode: 0o444}))
	ns := testenv.NewNetNS(t)
	l, _ := listen(t, ns)
	a := asChild(t, dir, &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS})
	if a.Err != "" {
		t.Fatal(a.Err)
	}
	if a.PID != 1 {
		t.Fatalf("the child has pid %d, want 1", a.PID)
	}
	if h := holders(a.snap(), a.Listener); len(h) != 1 || h[0].PID != 1 {
		t.Errorf("its own listener is held by %+v, want pid 1", h)
	}
	if len(a.Alone) != 1 || a.Alone[0].PID != 1 || a.Alone[0].Inode != a.Listener {
		t.Errorf("pid 1 has %+v, want its own listener", a.Alone)
	}
	own, err := netns.Self()
	must(t, err)
	// fd_walk alone says who is in which namespace.
	major, minor := testenv.Kernel(t)
	walks := major > 6 || major == 6 && minor >= 2
	if walks && (len(a.Inside) != 1 || a.Inside[own] != 1) {
		t.Errorf("processes by namespace: %v, want 1 in %d", a.Inside, own)
	}
	if got := find(a.snap(), inodeOf(t, l)); len(got) != 1 || got[0].Flags != source.SocketFile || len(holders(a.snap(), inodeOf(t, l))) != 0 {
		t.Errorf("a listener outside: %+v held by %+v", got, holders(a.snap(), inodeOf(t, l)))
	}
	if len(a.Gaps) != 1 || a.Gaps[0].Kind != whose.GapProcesses {
		t.Errorf("gaps %v, want one of processes", a.Gaps)
	}
}

// TestPin_Replace pins anew while others read.
func TestPin_Replace(t *testing.T) {
	testenv.CheckLeaks(t)
	dir := bpffs(t, "")
	must(t, Pin(dir, PinOptions{}))
	ns := testenv.NewNetNS(t)
	l, _ := listen(t, ns)
	ino := inodeOf(t, l)
	stop := make(chan struct{})
	errs := make(chan error, 4)
	var wg sync.WaitGroup
	for range cap(errs) {
		wg.Go(func() { errs <- readUntil(dir, ino, stop) })
	}
	for range 5 {
		if err := Pin(dir, PinOptions{Mode: 0o440}); err != nil {
			t.Errorf("pin again: %v", err)
		}
	}
	close(stop)
	wg.Wait()
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	entries, err := os.ReadDir(dir)
	must(t, err)
	if len(entries) != pinsHere(t) {
		t.Errorf("%v is left, want %d files", entries, pinsHere(t))
	}
}

func readUntil(dir string, ino uint64, stop chan struct{}) error {
	s, err := OpenPinned(dir, Options{})
	if err != nil {
		return err
	}
	for {
		var snap source.Snapshot
		if err := s.Read(context.Background(), asking(source.Query{}), &snap); err != nil {
			return err
		}
		if len(find(&snap, ino)) != 1 || len(holders(&snap, ino)) != 1 {
			return fmt.Errorf("inode %d: %+v held by %+v", ino, find(&snap, ino), holders(&snap, ino))
		}
		select {
		case <-stop:
			return nil
		default:
		}
	}
}

// pinsHere returns how many iterators this kernel takes.
func pinsHere(t *testing.T) int {
	t.Helper()
	p, err := load(loading{ways: true})
	must(t, err)
	must(t, p.addTaskFile())
	n := 0
	for _, link := range []bpf.Iter{p.taskFileLink, p.hashWalkLink, p.fdWalkLink} {
		if link >= 0 {
			n++
		}
	}
	must(t, p.close())
	return n
}

// pinForeign pins an iterator that writes text under one of our names.
func pinForeign(t *testing.T, path string) {
	t.Helper()
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.Tracing, AttachType: ebpf.AttachTraceIter, AttachTo: "task", License: "GPL",
		Instructions: asm.Instructions{
			asm.LoadMem(asm.R1, asm.R1, 0, asm.DWord), // ctx->meta
			asm.LoadMem(asm.R1, asm.R1, 0, asm.DWord), // meta->seq
			asm.LoadImm(asm.R2, 0x0a6f6c6c6568, asm.DWord),
			asm.StoreMem(asm.RFP, -8, asm.R2, asm.DWord),
			asm.Mov.Reg(asm.R2, asm.RFP),
			asm.Add.Imm(asm.R2, -8),
			asm.Mov.Imm(asm.R3, 8),
			asm.FnSeqWrite.Call(),
			asm.Mov.Imm(asm.R0, 0),
			asm.Return(),
		},
	})
	must(t, err)
	defer prog.Close()
	link, err := bpf.AttachIter(prog, nil)
	must(t, err)
	defer link.Close()
	dir, err := unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(dir)
	must(t, link.PinAt(dir, filepath.Base(path)))
}

// TestOpenPinned_Foreign has under our names what is not ours.
func TestOpenPinned_Foreign(t *testing.T) {
	dir := bpffs(t, "")
	must(t, Pin(dir, PinOptions{}))
	path := filepath.Join(dir, pinName(taskFile))
	must(t, os.Remove(path))
	pinForeign(t, path)
	if err := os.Remove(filepath.Join(dir, pinName(fdWalk))); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err) // it is read instead, where there is one
	}
	var bad *RecordError
	if _, err := OpenPinned(dir, Options{}); !errors.As(err, &bad) {
		t.Errorf("another program's iterator: %v, want a RecordError", err)
	}
	if st, err := Inspect(dir); err != nil || !errors.As(st.Works, &bad) {
		t.Errorf("inspect: %v, works: %v", err, st.Works)
	}

	must(t, os.Rename(path, filepath.Join(dir, "task_file_v9")))
	var version *VersionError
	if _, err := OpenPinned(dir, Options{}); !errors.As(err, &version) || version.Found != 9 || whose.Hint(err) == "" {
		t.Errorf("another version: %v (hint %q)", err, whose.Hint(err))
	}
	must(t, os.Symlink("/etc/passwd", path))
	if _, err := OpenPinned(dir, Options{}); !errors.Is(err, unix.ELOOP) {
		t.Errorf("a symbolic link: %v", err)
	}
	must(t, os.Remove(path))
	must(t, Pin(dir, PinOptions{})) // leaves alone what is not ours
	must(t, os.Remove(filepath.Join(dir, "task_file_v9")))
	st, err := Inspect(dir)
	if err != nil || len(st.Pins) != pinsHere(t) || st.Works != nil {
		t.Errorf("pinned anew: %+v, %v", st, err)
	}

	plain := t.TempDir()
	must(t, os.WriteFile(filepath.Join(plain, pinName(taskFile)), []byte("hello"), 0o644))
	if _, err := OpenPinned(plain, Options{}); !errors.Is(err, errNotBPFFS) {
		t.Errorf("a plain file: %v", err)
	}
}

func TestOpenPinned_Owner(t *testing.T) {
	dir := bpffs(t, "")
	must(t, Pin(dir, PinOptions{}))
	must(t, os.Chown(filepath.Join(dir, pinName(taskFile)), nobody, -1))
	if _, err := OpenPinned(dir, Options{}); !errors.Is(err, errOwner) {
		t.Errorf("a pin of somebody else: %v", err)
	}
}

// TestPin_Refused pins where that cannot be.
func TestPin_Refused(t *testing.T) {
	if err := Pin("whose", PinOptions{}); err == nil {
		t.Error("a relative path gives no error")
	}
	err := Pin(filepath.Join(t.TempDir(), "whose"), PinOptions{})
	if !errors.Is(err, errNotBPFFS) || whose.Hint(err) == "" {
		t.Errorf("not on a bpffs: %v (hint %q)", err, whose.Hint(err))
	}
	dir := bpffs(t, "")
	must(t, unix.Mount("", filepath.Dir(dir), "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	if err := Pin(dir, PinOptions{}); !errors.Is(err, unix.EROFS) || whose.Hint(err) == "" {
		t.Errorf("a bpffs that is read-only: %v (hint %q)", err, whose.Hint(err))
	}
	if st, err := Inspect(dir); err != nil || !st.BPFFS || len(st.Pins) != 0 || !errors.Is(st.Works, fs.ErrNotExist) {
		t.Errorf("nothing pinned: %+v, %v", st, err)
	}
}

// TestPin_Traverse pins below a directory that others may not search.
func TestPin_Traverse(t *testing.T) {
	dir := bpffs(t, "mode=0700")
	gid := someGroup
	must(t, Pin(dir, PinOptions{GID: &gid}))
	st, err := Inspect(dir)
	if err != nil || len(st.Blocked) != 1 || st.Blocked[0] != filepath.Dir(dir) {
		t.Errorf("blocked by %v (%v), want %s", st.Blocked, err, filepath.Dir(dir))
	}
	if a := asChild(t, dir, asUser(nobody, someGroup)); !a.Permission {
		t.Errorf("below a closed directory: %q, want a permission error", a.Err)
	}
	must(t, Pin(dir, PinOptions{GID: &gid, Traverse: true}))
	if a := asChild(t, dir, asUser(nobody, someGroup)); a.Err != "" {
		t.Errorf("with Traverse: %s", a.Err)
	}
	if st, err := Inspect(dir); err != nil || len(st.Blocked) != 0 {
		t.Errorf("with Traverse blocked by %v (%v)", st.Blocked, err)
	}
}

// TestLoad_Unprivileged says what is missing and what to do.
func TestLoad_Unprivileged(t *testing.T) {
	testenv.NeedRoot(t)
	err := testenv.OnThread(func() error {
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, nobody, nobody, nobody); errno != 0 {
			return errno
		}
		p := noPrograms()
		err := explain(p.addTaskFile())
		return errors.Join(err, p.close())
	})
	if !errors.Is(err, fs.ErrPermission) || whose.Hint(err) == "" {
		t.Errorf("without privilege: %v (hint %q)", err, whose.Hint(err))
	}
}
