package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/source"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

func namespaces(t *testing.T, f *FS) []source.NetNSRef {
	t.Helper()
	refs, _, err := f.Namespaces(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSortedFunc(refs, compareNetNS) {
		t.Errorf("not in order: %v", refs)
	}
	return refs
}

func refOf(refs []source.NetNSRef, inode uint32) (source.NetNSRef, bool) {
	i := slices.IndexFunc(refs, func(r source.NetNSRef) bool { return r.Inode == inode })
	if i < 0 {
		return source.NetNSRef{}, false
	}
	return refs[i], true
}

// checkEnters checks that the path leads to the namespace.
func checkEnters(t *testing.T, ref source.NetNSRef) {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(ref.Path, &st); err != nil || uint32(st.Ino) != ref.Inode {
		t.Errorf("%v: the path does not lead to the namespace: %v", ref, err)
	}
}

func TestNamespaces_Self(t *testing.T) {
	f := open(t)
	self := f.SelfNetNS()
	if want := threadNetNS(); self != want {
		t.Errorf("own namespace %d, want %d", self, want)
	}
	ref, ok := refOf(namespaces(t, f), self)
	if !ok || ref.TID == 0 {
		t.Fatalf("own namespace: got %v", ref)
	}
	checkEnters(t, ref)
}

// A namespace that only a thread is in, not its process.
func TestNamespaces_Thread(t *testing.T) {
	testenv.NeedCap(t, unix.CAP_SYS_ADMIN)
	r := start(t, "netns", nil)
	f := open(t)
	ref, ok := refOf(namespaces(t, f), r.NetNS)
	if !ok {
		t.Fatalf("namespace %d not found", r.NetNS)
	}
	want := source.NetNSRef{Inode: r.NetNS, TID: uint32(r.TID), Path: fmt.Sprintf("/proc/%d/task/%d/ns/net", r.PID, r.TID)}
	if ref != want {
		t.Errorf("got %v, want %v", ref, want)
	}
	checkEnters(t, ref)
	if _, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", ref.TID)); err != nil {
		t.Errorf("the thread does not show its namespace: %v", err)
	}
	names := f.NetNSNames(context.Background(), []source.NetNSRef{ref, {Inode: f.SelfNetNS(), TID: uint32(os.Getpid())}})
	if names[r.NetNS] == "" || names[f.SelfNetNS()] != "" {
		t.Errorf("names %v, want one of the thread's namespace and none of our own", names)
	}
	found := f.NetNSNamesOf(context.Background(), nil, []uint32{r.NetNS, f.SelfNetNS(), 1}, nil)
	if found[r.NetNS] != names[r.NetNS] || found[f.SelfNetNS()] != "" || found[1] != "" {
		t.Errorf("names %v found by inode, want those found by thread: %v", found, names)
	}
}

// Names are the same whether it was known who is in a namespace or not.
func TestNetNSNamesOf(t *testing.T) {
	testenv.NeedCap(t, unix.CAP_SYS_ADMIN)
	r := start(t, "netnsmain", nil)
	f := open(t)
	refs := namespaces(t, f)
	ref, ok := refOf(refs, r.NetNS)
	if !ok || ref.TID != uint32(r.PID) {
		t.Fatalf("namespace %d of process %d: got %v", r.NetNS, r.PID, ref)
	}
	want := f.NetNSNames(context.Background(), []source.NetNSRef{ref})[r.NetNS]
	if got := f.NetNSNamesOf(context.Background(), nil, []uint32{r.NetNS}, nil)[r.NetNS]; got != want || got == "" {
		t.Errorf("name %q, want %q", got, want)
	}
}

// A namespace that nothing but a descriptor or a socket holds is none of a
// process, and found by them.
func TestNamespaces_HeldByDescriptor(t *testing.T) {
	testenv.NeedCap(t, unix.CAP_SYS_ADMIN)
	r := start(t, "heldns", nil)
	f := open(t)
	if _, ok := refOf(namespaces(t, f), r.NetNS); ok {
		t.Errorf("namespace %d is said to have a process", r.NetNS)
	}
	w := walk(t, f, WalkOptions{WantNetNS: true})
	ref, ok := refOf(w.NetNS, r.NetNS)
	if want := fmt.Sprintf("/proc/%d/fd/%d", r.PID, r.Held[0].FD); !ok || ref.Path != want {
		t.Fatalf("got %v, want path %s", ref, want)
	}
	checkEnters(t, ref)
	if w := walk(t, f, WalkOptions{}); len(w.NetNS) != 0 {
		t.Errorf("not asked for namespaces, got %v", w.NetNS)
	}
}

// Of a socket that is not there any more nothing is opened, and nothing is said.
func TestNetNSOfSockets_Gone(t *testing.T) {
	testenv.NeedCap(t, unix.CAP_SYS_ADMIN, unix.CAP_SYS_PTRACE, unix.CAP_NET_ADMIN)
	testenv.NeedKernel(t, 5, 6, "pidfd_getfd")
	testenv.CheckLeaks(t)
	r := start(t, "socketns", nil)
	h := source.Holding{Inode: r.Held[0].Inode, PID: uint32(r.PID), FD: r.Held[0].FD}
	none := func(uint32) bool { return false }
	for _, gone := range []source.Holding{
		{Inode: h.Inode + 1, PID: h.PID, FD: h.FD}, // the number is another socket's now
		{Inode: h.Inode, PID: h.PID, FD: 12345},
		{Inode: h.Inode, PID: 4194304, FD: h.FD},
	} {
		if found, unasked := open(t).NetNSOfSockets(context.Background(), []source.Holding{gone}, none); len(found) != 0 || unasked != 0 {
			t.Errorf("%v: got %v, %d not asked, want none of either", gone, found, unasked)
		}
	}
	if found, unasked := openAt(t, capture(t)).NetNSOfSockets(context.Background(), []source.Holding{h}, none); len(found) != 0 || unasked != 1 {
		t.Errorf("under another root: got %v, %d not asked, want that it cannot be asked", found, unasked)
	}
}

// Of many sockets each unknown namespace is opened once.
func TestNetNSOfSockets(t *testing.T) {
	testenv.NeedCap(t, unix.CAP_SYS_ADMIN, unix.CAP_SYS_PTRACE, unix.CAP_NET_ADMIN)
	testenv.NeedKernel(t, 5, 6, "pidfd_getfd")
	testenv.CheckLeaks(t)
	a, b, plain := start(t, "socketns", nil), start(t, "socketns", nil), start(t, "dup", nil)
	f := open(t)
	w := walk(t, f, WalkOptions{PIDs: []uint32{uint32(a.PID), uint32(b.PID), uint32(plain.PID)}})
	w.Holdings = append(w.Holdings, source.Holding{Inode: 1, PID: 4194304, FD: 3}, w.Holdings[0])
	self := f.SelfNetNS()
	found, unasked := f.NetNSOfSockets(context.Background(), w.Holdings, func(inode uint32) bool { return inode == self })
	var inodes []uint32
	for _, ns := range found {
		checkEnters(t, source.NetNSRef{Inode: ns.Inode, Path: ns.Path()})
		inodes = append(inodes, ns.Inode)
		if err := ns.Close(); err != nil {
			t.Error(err)
		}
		if err := ns.Close(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("second close: %v", err)
		}
	}
	want := []uint32{a.NetNS, b.NetNS}
	slices.Sort(want)
	slices.Sort(inodes)
	if !slices.Equal(inodes, want) || unasked != 0 {
		t.Errorf("namespaces %v, %d not asked, want %v and 0", inodes, unasked, want)
	}
}

// A namespace that only a mount holds: in our mount namespace, and in that of
// another process.
func TestNamespaces_Mounts(t *testing.T) {
	testenv.NeedCap(t, unix.CAP_SYS_ADMIN)
	dir := t.TempDir()
	point := filepath.Join(dir, "a b\nc")
	if err := os.WriteFile(point, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	inode, err := inNewNetNS(func() error {
		return unix.Mount("/proc/thread-self/ns/net", point, "", unix.MS_BIND, "")
	})
	if err != nil {
		t.Fatal(err)
	}
	mounted := true
	unmount := func() {
		if mounted {
			mounted = false
			if err := unix.Unmount(point, unix.MNT_DETACH); err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(unmount)
	f := open(t)
	ref, ok := refOf(namespaces(t, f), inode)
	if want := (source.NetNSRef{Inode: inode, Path: point}); !ok || ref != want {
		t.Fatalf("own mount: got %v, want %v", ref, want)
	}
	checkEnters(t, ref)

	// The helper's mount namespace keeps a copy of the mount after ours is gone.
	r := start(t, "private", &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS})
	unmount()
	ref, ok = refOf(namespaces(t, f), inode)
	if want := fmt.Sprintf("/proc/%d/root%s", r.PID, point); !ok || ref.Path != want {
		t.Fatalf("mount of another mount namespace: got %v, want %s", ref, want)
	}
	checkEnters(t, ref)
}

// A user without rights knows, though he may not read any process's namespace,
// whether there is one that he cannot enter.
func TestNamespaces_Unprivileged(t *testing.T) {
	testenv.NeedRoot(t)
	before := closedToNobody(t)
	// The thread's is not counted: that is for the process to show.
	start(t, "sockets", &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNET})
	if after := closedToNobody(t); after <= before {
		t.Errorf("%d closed namespaces, and with one more %d", before, after)
	}
}

// closedToNobody counts the namespaces that a user without rights is told of as
// closed.
func closedToNobody(t *testing.T) int {
	t.Helper()
	n := 0
	for _, g := range start(t, "namespaces", nobody()).Walk.Gaps {
		if g.Kind != whose.GapNamespaces || g.Count == 0 {
			t.Errorf("gap %+v, want a number of namespaces", g)
		}
		n += g.Count
	}
	return n
}

// A user without rights is told of namespaces that only mounts hold, in a
// directory that he may not pass.
func TestNamespaces_RefusedMounts(t *testing.T) {
	testenv.NeedCap(t, unix.CAP_SYS_ADMIN)
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	before := closedToNobody(t)
	for i := range before + 1 {
		point := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(point, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := inNewNetNS(func() error {
			return unix.Mount("/proc/thread-self/ns/net", point, "", unix.MS_BIND, "")
		}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := unix.Unmount(point, unix.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
	}
	if after := closedToNobody(t); after <= before {
		t.Errorf("%d closed namespaces, and with %d more that are mounted %d", before, before+1, after)
	}
}

func TestNetNSMounts(t *testing.T) {
	b, err := os.ReadFile("testdata/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range netNSMounts(b) {
		got = append(got, fmt.Sprintf("%d %q slow=%t name=%q", m.inode, m.point, m.slow, ipNetNSName(m.point)))
	}
	want := []string{
		`4026532177 "/run/netns/web" slow=false name="web"`,
		`4026532178 "/run/netns/a b" slow=false name="a b"`,
		`4026532179 "/run/docker/netns/0123456789ab" slow=false name=""`,
		`4026532180 "/mnt/fuse/ns" slow=true name=""`,
		`4026532181 "/var/run/netns/db" slow=false name="db"`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestNamespaces_Capture(t *testing.T) {
	root := capture(t)
	f := openAt(t, root)
	want := []source.NetNSRef{{Inode: 4026531840, TID: 10, Path: root + "/10/ns/net"}}
	if got := namespaces(t, f); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if self := f.SelfNetNS(); self != 0 {
		t.Errorf("own namespace %d, want 0: the root does not show us", self)
	}
	for _, names := range []map[uint32]string{
		f.NetNSNames(context.Background(), want),
		f.NetNSNamesOf(context.Background(), nil, []uint32{4026531840}, nil),
	} {
		if names[4026531840] != "process/a b):\x1b[31m) (" {
			t.Errorf("names %v", names)
		}
	}
}

func BenchmarkNamespaces(b *testing.B) {
	f := open(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := f.Namespaces(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}
