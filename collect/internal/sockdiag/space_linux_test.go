package sockdiag

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/netns"
	"github.com/seed-44df2ae6/whose/internal/source"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// asked counts the dumps of the last pass.
func asked(s *Source) int { return s.workers[0].dumps + s.workers[1].dumps }

func visit(spaces ...*testenv.NetNS) []source.NetNSRef {
	refs := make([]source.NetNSRef, len(spaces))
	for i, ns := range spaces {
		refs[i] = source.NetNSRef{Inode: ns.Inode(), Path: ns.Path()}
	}
	return refs
}

func open(t testing.TB, opt Options) *Source {
	t.Helper()
	s, err := Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestRead_ManyNamespaces: some are empty, some have a listener, some a
// connection, some a UDP socket; all is found, and only what may hold
// something is asked for.
func TestRead_ManyNamespaces(t *testing.T) {
	testenv.CheckLeaks(t)
	var spaces []*testenv.NetNS
	expected := map[uint32]int{}
	const count = 72 // more than are open at once
	for i := range count {
		ns := testenv.NewNetNS(t)
		spaces = append(spaces, ns)
		in(t, ns, func(o *opener) {
			if i%4 == 0 {
				return
			}
			l := o.socket(unix.AF_INET6, unix.SOCK_STREAM, 0)
			o.bind(l, "[::1]:80")
			o.listen(l, 5)
			expected[ns.Inode()] = 1
			if i%4 == 2 {
				o.connect(o.socket(unix.AF_INET6, unix.SOCK_STREAM, 0), netip.MustParseAddrPort("[::1]:80"))
				expected[ns.Inode()] = 3
			}
			if i%4 == 3 {
				o.bind(o.socket(unix.AF_INET, unix.SOCK_DGRAM, 0), "127.0.0.1:53")
				expected[ns.Inode()] = 2
			}
		})
	}
	s := open(t, Options{})
	for pass := range 2 {
		var snap source.Snapshot
		if err := s.Read(t.Context(), asking(source.Query{Visit: visit(spaces...), States: whose.DefaultStates}), &snap); err != nil {
			t.Fatal(err)
		}
		got := map[uint32]int{}
		for i := range snap.Sockets {
			got[snap.Sockets[i].NetNS]++
		}
		for inode, n := range expected {
			if got[inode] != n {
				t.Errorf("pass %d: namespace %d has %d sockets, want %d", pass, inode, got[inode], n)
			}
		}
		if len(snap.NetNS) != len(spaces) || len(gapsOf(&snap)) != 0 {
			t.Errorf("pass %d: %d namespaces, gaps %v", pass, len(snap.NetNS), gapsOf(&snap))
		}
		// Nothing is asked in the quarter that is empty; in the two quarters with
		// listeners only, the small table twice; in the quarter with a connection
		// both tables; and UDP of IPv4 in one quarter.
		if n, want := asked(s), count/4*(2*2+2+1); n != want && countsMPTCP(t) {
			t.Errorf("pass %d: %d dumps, want %d", pass, n, want)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestRead_Own reads the caller's own namespace, which needs no way in.
func TestRead_Own(t *testing.T) {
	own, err := netns.Self()
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, Options{})
	for _, refs := range [][]source.NetNSRef{nil, {{Inode: own}}, {{Inode: own}, {Inode: own}}} {
		var snap source.Snapshot
		if err := s.Read(t.Context(), asking(source.Query{Visit: refs}), &snap); err != nil {
			t.Fatal(err)
		}
		if len(snap.NetNS) != 1 || snap.NetNS[0] != own || len(gapsOf(&snap)) != 0 {
			t.Errorf("visit %v: namespaces %d, gaps %v; want %d", refs, snap.NetNS, gapsOf(&snap), own)
		}
	}
}

// TestRead_Gone visits what is no namespace any more, or never was.
func TestRead_Gone(t *testing.T) {
	testenv.CheckLeaks(t)
	ns, other := testenv.NewNetNS(t), testenv.NewNetNS(t)
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	bad := []source.NetNSRef{
		{Inode: 1, Path: "/proc/1/fd/nothing"},
		{Inode: 2, Path: other.Path()}, // another namespace is there now
		{Inode: 3, Path: "/dev/null"},
		{Inode: 4, Path: fifo},
		{Inode: 5, Path: "/proc/2147483647/ns/net"},
		{Inode: 6, Path: "/proc/self/ns/net"},
		{Inode: 7},
	}
	s := open(t, Options{})
	var snap source.Snapshot
	if err := s.Read(t.Context(), asking(source.Query{Visit: append(visit(ns), bad...)}), &snap); err != nil {
		t.Fatal(err)
	}
	if len(snap.NetNS) != 1 || snap.NetNS[0] != ns.Inode() {
		t.Errorf("namespaces %d, want %d", snap.NetNS, ns.Inode())
	}
	counts := map[string]int{}
	for _, g := range gapsOf(&snap) {
		if g.Kind != whose.GapNamespaces {
			t.Errorf("gap %s", g)
		}
		counts[g.Detail] = g.Count
	}
	if len(counts) != 1 || counts["no way in is known"] != 1 {
		t.Errorf("gaps: %v", counts)
	}
	snap.Reset()
	err := s.Read(t.Context(), asking(source.Query{Visit: bad}), &snap)
	if err == nil || whose.Hint(err) == "" {
		t.Errorf("nothing to read: error %v, hint %q", err, whose.Hint(err))
	}
	if err := s.Read(t.Context(), asking(source.Query{Visit: bad[:6]}), &snap); err != nil || len(snap.NetNS) > 0 {
		t.Errorf("only what is gone: error %v, namespaces %d", err, snap.NetNS)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestRead_Kept: a namespace that is visited again is not entered again; one
// that is not visited any more is let go.
func TestRead_Kept(t *testing.T) {
	testenv.CheckLeaks(t)
	a, b := testenv.NewNetNS(t), testenv.NewNetNS(t)
	s := open(t, Options{})
	pass := func(refs ...source.NetNSRef) *source.Snapshot {
		t.Helper()
		var snap source.Snapshot
		if err := s.Read(t.Context(), asking(source.Query{Visit: refs}), &snap); err != nil {
			t.Fatal(err)
		}
		if len(gapsOf(&snap)) != 0 || len(snap.NetNS) != len(refs) {
			t.Fatalf("namespaces %d, gaps %v", snap.NetNS, gapsOf(&snap))
		}
		return &snap
	}
	pass(visit(a, b)...)
	pass(source.NetNSRef{Inode: a.Inode()}, source.NetNSRef{Inode: b.Inode()}) // no way in is needed
	pass(visit(b)...)
	if s.spaces[a.Inode()] != nil || s.spaces[b.Inode()] == nil {
		t.Errorf("kept: %v, want %d only", s.spaces, b.Inode())
	}
	one := open(t, Options{Keep: 1})
	none := open(t, Options{Keep: -1})
	for _, s := range []*Source{one, none} {
		var snap source.Snapshot
		if err := s.Read(t.Context(), asking(source.Query{Visit: visit(a, b)}), &snap); err != nil {
			t.Fatal(err)
		}
	}
	if len(one.spaces) != 1 || len(none.spaces) != 0 {
		t.Errorf("kept %d and %d, want 1 and 0", len(one.spaces), len(none.spaces))
	}
	for _, s := range []*Source{s, one} {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestRead_MainThread: entering namespaces never leaves the process's main
// thread, by which others see it, in another one.
func TestRead_MainThread(t *testing.T) {
	before, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	ns := testenv.NewNetNS(t)
	s := open(t, Options{Keep: -1})
	for range 50 {
		var snap source.Snapshot
		if err := s.Read(t.Context(), asking(source.Query{Visit: visit(ns)}), &snap); err != nil {
			t.Fatal(err)
		}
	}
	if after, err := os.Readlink("/proc/self/ns/net"); err != nil || after != before {
		t.Errorf("the process is in %s, was in %s: %v", after, before, err)
	}
}

// TestRead_NetNS: the namespaces that are wanted are, of those there is a way to.
func TestRead_NetNS(t *testing.T) {
	a, b := testenv.NewNetNS(t), testenv.NewNetNS(t)
	s := open(t, Options{})
	for _, wanted := range [][]uint32{{a.Inode()}, {b.Inode(), 1}, {1}} {
		var snap source.Snapshot
		if err := s.Read(t.Context(), asking(source.Query{Visit: visit(a, b), NetNS: wanted}), &snap); err != nil {
			t.Fatal(err)
		}
		if len(snap.NetNS) > 1 || (len(snap.NetNS) == 1) != (wanted[0] != 1) || len(snap.NetNS) == 1 && snap.NetNS[0] != wanted[0] {
			t.Errorf("wanted %d: read %d", wanted, snap.NetNS)
		}
	}
}

func TestRead_Context(t *testing.T) {
	s := open(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var snap source.Snapshot
	if err := s.Read(ctx, asking(source.Query{}), &snap); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	ctx, cancel = context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	if err := s.Read(ctx, asking(source.Query{}), &snap); err != nil || len(gapsOf(&snap)) != 1 || gapsOf(&snap)[0].Cause != whose.CauseDeadline {
		t.Errorf("late: %v, gaps %v", err, gapsOf(&snap))
	}
	snap.Reset()
	if err := s.Read(t.Context(), asking(source.Query{}), &snap); err != nil || len(gapsOf(&snap)) != 0 {
		t.Errorf("afterwards: %v, gaps %v", err, gapsOf(&snap))
	}
}

// TestRead_Unprivileged runs this test as another user, who may list his own
// namespace and no other.
func TestRead_Unprivileged(t *testing.T) {
	const marker = "SOCKDIAG_TEST_UNPRIVILEGED"
	if ref := os.Getenv(marker); ref != "" {
		unprivileged(t, ref)
		return
	}
	testenv.NeedRoot(t)
	ns := testenv.NewNetNS(t)
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestRead_Unprivileged$", "-test.v")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s", marker, ns.Inode(), ns.Path()), "TMPDIR=/nonexistent")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: TestRead_Unprivileged")) {
		t.Errorf("%v\n%s", err, out)
	}
}

func unprivileged(t *testing.T, text string) {
	var ref source.NetNSRef
	number, path, _ := strings.Cut(text, " ")
	if _, err := fmt.Sscan(number, &ref.Inode); err != nil {
		t.Fatal(err)
	}
	ref.Path = path
	own, err := netns.Self()
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, Options{})
	var snap source.Snapshot
	if err := s.Read(t.Context(), asking(source.Query{Visit: []source.NetNSRef{{Inode: own}, ref}}), &snap); err != nil {
		t.Fatal(err)
	}
	if len(snap.NetNS) != 1 || snap.NetNS[0] != own {
		t.Errorf("namespaces %d, want %d", snap.NetNS, own)
	}
	if len(gapsOf(&snap)) != 1 || gapsOf(&snap)[0].Count != 1 || gapsOf(&snap)[0].Cause != whose.CausePermission {
		t.Errorf("gaps: %+v", gapsOf(&snap))
	}
	if err := s.Read(t.Context(), asking(source.Query{Visit: []source.NetNSRef{ref}}), &snap); err == nil || whose.Hint(err) == "" {
		t.Errorf("only a namespace that is refused: %v", err)
	}
}
