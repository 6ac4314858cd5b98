package bpfiter

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/source"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// openTaskFileOnly returns a source that reads as before Linux 5.19.
func openTaskFileOnly(t testing.TB) *Source {
	t.Helper()
	testenv.NeedCap(t, unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_SYS_ADMIN)
	testenv.NeedKernel(t, 5, 11, "bpf_sock_from_file")
	s, err := Load(Options{TaskFileOnly: true})
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

// TestTaskFileOnly finds what descriptors hold and who, and says that there may
// be more.
func TestTaskFileOnly(t *testing.T) {
	testenv.CheckLeaks(t)
	ns := testenv.NewNetNS(t)
	s := openTaskFileOnly(t)
	if got, want := s.Capabilities(), (source.Capabilities{FindsHolders: true}); got != want {
		t.Errorf("capabilities %+v, want %+v", got, want)
	}
	l, addr := listen(t, ns)
	c := socket(t, ns, unix.AF_INET, unix.SOCK_STREAM, 0)
	must(t, unix.Connect(c, addr))
	for _, q := range []source.Query{{}, {PIDs: []uint32{uint32(os.Getpid())}}} {
		snap := read(t, s, inNetNS(ns, q))
		if len(snap.Sockets) != 2 || len(snap.Gaps) != 0 {
			t.Errorf("%d sockets, want listener and client: %+v; gaps %v", len(snap.Sockets), snap.Sockets, snap.Gaps)
		}
		for _, fd := range []int{l, c} {
			inode := inodeOf(t, fd)
			want := source.Holding{Inode: inode, PID: uint32(os.Getpid()), FD: int32(fd)}
			if len(find(snap, inode)) != 1 || !slices.Equal(holders(snap, inode), []source.Holding{want}) {
				t.Errorf("socket %d: %+v held by %v", inode, find(snap, inode), holders(snap, inode))
			}
		}
	}
}

// TestTaskFileOnly_Ways finds the ways into namespaces in which no process is:
// descriptors of the namespace, and of any socket.
func TestTaskFileOnly_Ways(t *testing.T) {
	kinds := map[string]func(*testenv.NetNS) int{
		"the namespace":    func(ns *testenv.NetNS) int { return ns.FD() },
		"a TCP socket":     func(ns *testenv.NetNS) int { fd, _ := listen(t, ns); return fd },
		"a UNIX socket":    func(ns *testenv.NetNS) int { return socket(t, ns, unix.AF_UNIX, unix.SOCK_DGRAM, 0) },
		"a netlink socket": func(ns *testenv.NetNS) int { return socket(t, ns, unix.AF_NETLINK, unix.SOCK_RAW, 0) },
	}
	for name, hold := range kinds {
		t.Run(name, func(t *testing.T) {
			ns := testenv.NewNetNS(t)
			s := openTaskFileOnly(t)
			want := source.Way{NetNS: ns.Inode(), Holding: source.Holding{PID: uint32(os.Getpid())}}
			fd := hold(ns)
			want.FD = int32(fd)
			if fd != ns.FD() {
				want.Inode = inodeOf(t, fd)
				ns.Close()
			}
			snap := read(t, s, &source.Query{States: whose.SetOf(whose.TimeWait)})
			var got []source.Way
			for _, w := range snap.Ways {
				if w.NetNS == want.NetNS {
					got = append(got, w)
				}
			}
			if !slices.Equal(got, []source.Way{want}) {
				t.Errorf("ways %+v, want %+v", got, want)
			}
		})
	}
}

// TestTaskFileOnly_Pinned reads through a pin as an older kernel has it: what
// descriptors hold, and none of the records that only a loading reader gets.
func TestTaskFileOnly_Pinned(t *testing.T) {
	dir := testenv.NeedBPFFS(t) + "/whose"
	testenv.NeedKernel(t, 5, 11, "bpf_sock_from_file")
	ns := testenv.NewNetNS(t)
	l, addr := listen(t, ns)
	must(t, unix.Connect(socket(t, ns, unix.AF_INET, unix.SOCK_STREAM, 0), addr))
	p, err := load(loading{taskFileOnly: true})
	must(t, err)
	d, err := prepareDir(dir, &PinOptions{})
	must(t, err)
	must(t, errors.Join(p.pin(d, &PinOptions{}), p.close(), d.close()))
	t.Cleanup(func() { must(t, Unpin(dir)) })
	pins, err := filepath.Glob(dir + "/*")
	if must(t, err); len(pins) != 1 {
		t.Errorf("pinned %v, want task_file alone", pins)
	}
	s, err := OpenPinned(dir, Options{})
	must(t, err)
	if s.Capabilities().FindsSockets {
		t.Error("a pin without a walk claims to find every socket")
	}
	snap := read(t, s, inNetNS(ns, source.Query{}))
	if len(snap.Sockets) != 2 || len(find(snap, inodeOf(t, l))) != 1 || !snap.Pinned {
		t.Errorf("%d sockets, want listener and client: %+v", len(snap.Sockets), snap.Sockets)
	}
	none := func(b []byte) error {
		for r := (records{rest: b}); r.next(); {
			if r.kind == recordWay {
				return errors.New("a way is shown")
			}
		}
		return nil
	}
	must(t, s.pins.open())
	must(t, errors.Join(s.readEvery(t.Context(), newQuestion(&source.Query{}), none), s.pins.close()))
}

// TestTaskFileOnly_NotNeeded shows no ways where the tables can be walked.
func TestTaskFileOnly_NotNeeded(t *testing.T) {
	s := open(t, Options{})
	if got, want := s.Capabilities(), (source.Capabilities{FindsSockets: true, FindsHolders: true}); got != want {
		t.Errorf("capabilities %+v, want %+v", got, want)
	}
	if snap := read(t, s, &source.Query{}); len(snap.Ways) != 0 {
		t.Errorf("ways %+v", snap.Ways)
	}
}
