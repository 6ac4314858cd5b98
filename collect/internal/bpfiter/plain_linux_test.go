package bpfiter

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/internal/source"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// openPlain returns a source that reads as older kernels have to.
func openPlain(t testing.TB) *Source {
	t.Helper()
	testenv.NeedCap(t, unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_SYS_ADMIN)
	testenv.NeedKernel(t, 5, 11, "bpf_sock_from_file")
	s, err := Load(Options{Plain: true})
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

// visiting asks for one namespace and tells the way into it.
func visiting(ns *testenv.NetNS, q source.Query) *source.Query {
	q.Visit = []source.NetNSRef{{Inode: ns.Inode(), Path: ns.Path()}}
	return inNetNS(ns, q)
}

// sendAway leaves a socket in transit and its descriptor on something else.
func sendAway(t testing.TB, fd int) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { unix.Close(pair[0]); unix.Close(pair[1]) })
	must(t, unix.Sendmsg(pair[0], []byte{1}, unix.UnixRights(fd), nil, 0))
	replace(t, fd)
}

// replace closes what the descriptor is and keeps its number for the test to close.
func replace(t testing.TB, fd int) {
	t.Helper()
	null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(null)
	must(t, unix.Dup3(null, fd, unix.O_CLOEXEC))
}

// An unheld set of sockets is what no descriptor holds: of one listener two
// connections to accept and one in TIME_WAIT, and a listener and a UDP socket
// in transit.
type unheld struct {
	port   uint16
	flying []uint64
}

func newUnheld(t testing.TB, ns namespace) unheld {
	t.Helper()
	l, addr := listen(t, ns)
	for range 2 {
		must(t, unix.Connect(socket(t, ns, unix.AF_INET, unix.SOCK_STREAM, 0), addr))
	}
	last, lastAddr := listen(t, ns)
	c := socket(t, ns, unix.AF_INET, unix.SOCK_STREAM, 0)
	must(t, unix.Connect(c, lastAddr))
	a, _, err := unix.Accept4(last, unix.SOCK_CLOEXEC)
	must(t, err)
	must(t, unix.Shutdown(c, unix.SHUT_WR))
	_, err = unix.Read(a, make([]byte, 1)) // the end of the stream: FIN came
	must(t, err)
	unix.Close(a)
	_, err = unix.Read(c, make([]byte, 1))
	must(t, err)
	replace(t, c)
	replace(t, last)

	u := socket(t, ns, unix.AF_INET6, unix.SOCK_DGRAM, 0)
	must(t, unix.Bind(u, &unix.SockaddrInet6{Addr: [16]byte{15: 1}}))
	f, _ := listen(t, ns)
	want := unheld{port: uint16(nameOf(t, l).(*unix.SockaddrInet4).Port), flying: []uint64{inodeOf(t, u), inodeOf(t, f)}}
	sendAway(t, u)
	sendAway(t, f)
	return want
}

// check wants the sockets among those of an answer.
func (w unheld) check(t testing.TB, sockets []source.Socket, netns uint32) {
	t.Helper()
	waiting, timeWait := 0, 0
	for _, s := range sockets {
		switch {
		case s.NetNS != netns || s.Inode != 0:
		case s.State == whose.TimeWait:
			timeWait++
		case s.LocalPort == w.port && s.State == whose.Established && s.Flags&source.SocketNoFile != 0:
			waiting++
		}
	}
	if waiting != 2 || timeWait != 1 {
		t.Errorf("%d connections to accept and %d in TIME_WAIT, want 2 and 1: %+v", waiting, timeWait, sockets)
	}
}

// TestPlain finds what no descriptor holds without a walk of the tables.
func TestPlain(t *testing.T) {
	testenv.CheckLeaks(t)
	ns := testenv.NewNetNS(t)
	s := openPlain(t)
	want := newUnheld(t, ns)
	for range 2 { // the iterators are kept
		snap := read(t, s, visiting(ns, source.Query{Needs: whose.NeedTCPInfo}))
		want.check(t, snap.Sockets, ns.Inode())
		for _, inode := range want.flying {
			got := find(snap, inode)
			if len(got) != 1 || got[0].Flags&source.SocketFile == 0 || len(holders(snap, inode)) != 0 {
				t.Errorf("in transit: %+v held by %v", got, holders(snap, inode))
			}
		}
		if len(snap.Gaps) != 0 || !slices.Equal(snap.NetNS, []uint32{ns.Inode()}) {
			t.Errorf("gaps %v, namespaces %v", snap.Gaps, snap.NetNS)
		}
		for _, x := range snap.Sockets {
			if x.Inode == 0 && x.State == whose.Established && x.TCPInfo == 0 {
				t.Errorf("no figures of TCP: %+v", x)
			}
		}
	}
}

// TestPlain_Alone reads by the iterators of TCP and UDP alone, which older
// kernels take than task_file.
func TestPlain_Alone(t *testing.T) {
	testenv.NeedCap(t, unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_SYS_ADMIN)
	testenv.NeedKernel(t, 5, 9, "iterators of TCP and UDP")
	ns := testenv.NewNetNS(t)
	s := &Source{loaded: noPrograms(), threads: 2}
	t.Cleanup(func() { must(t, s.Close()) })
	want := newUnheld(t, ns)
	q := visiting(ns, source.Query{})
	var snap source.Snapshot
	s.pass.reset(q, &snap)
	must(t, s.readPlain(context.Background(), q, newQuestion(q)))
	must(t, s.noPlain)
	want.check(t, s.pass.loose, ns.Inode())
	for _, inode := range want.flying {
		if !isUnmet(s, inode) {
			t.Errorf("inode %d was not met", inode)
		}
	}
	s.pass.settleUnmet()
	must(t, s.wanted.open())
	s.wanted.set(s.pass.unmet)
	full := newQuestion(q)
	full.flags |= askFull
	must(t, s.walkAgain(context.Background(), full))
	for _, inode := range want.flying {
		if got := find(&snap, inode); len(got) != 1 || got[0].LocalPort == 0 {
			t.Errorf("inode %d in full: %+v", inode, got)
		}
	}
}

// TestPlain_Question wants of the tables what the question is for and no more.
func TestPlain_Question(t *testing.T) {
	ns := testenv.NewNetNS(t)
	s := openPlain(t)
	want := newUnheld(t, ns)
	for name, c := range map[string]struct {
		q source.Query
		n int
	}{
		"time wait":       {source.Query{States: whose.SetOf(whose.TimeWait)}, 1},
		"udp":             {source.Query{Protos: whose.SetOf(whose.UDP)}, 1},
		"ipv6":            {source.Query{Families: whose.SetOf(whose.IPv6)}, 1},
		"listeners":       {source.Query{States: whose.SetOf(whose.Listen)}, 2},
		"none":            {source.Query{States: whose.SetOf(whose.SynSent)}, 0},
		"a port of many":  {source.Query{Any: []filter.Endpoints{filter.OnLocal(netip.Prefix{}, filter.PortRange{First: want.port, Last: want.port})}}, 3},
		"bound, no table": {source.Query{States: whose.SetOf(whose.Close)}, 0},
	} {
		if got := read(t, s, visiting(ns, c.q)).Sockets; len(got) != c.n {
			t.Errorf("%s: %d sockets, want %d: %+v", name, len(got), c.n, got)
		}
	}
	// Of a process what waits for it.
	snap := read(t, s, visiting(ns, source.Query{PIDs: []uint32{uint32(os.Getpid())}, States: whose.SetOf(whose.Established)}))
	if len(snap.Sockets) != 4 {
		t.Errorf("of this process: %d sockets, want two clients and what waits for the listener: %+v", len(snap.Sockets), snap.Sockets)
	}
}

// TestPlain_Ways finds the way into namespaces in which no process is by a
// descriptor that leads there: of the namespace, or of any socket.
func TestPlain_Ways(t *testing.T) {
	ways := map[string]func(*testenv.NetNS){
		"the namespace":    func(*testenv.NetNS) {},
		"a TCP socket":     func(ns *testenv.NetNS) { listen(t, ns); ns.Close() },
		"a UNIX socket":    func(ns *testenv.NetNS) { socket(t, ns, unix.AF_UNIX, unix.SOCK_DGRAM, 0); ns.Close() },
		"a netlink socket": func(ns *testenv.NetNS) { socket(t, ns, unix.AF_NETLINK, unix.SOCK_RAW, 0); ns.Close() },
	}
	for name, hold := range ways {
		t.Run(name, func(t *testing.T) {
			ns := testenv.NewNetNS(t)
			s := openPlain(t)
			l, addr := listen(t, ns)
			c := socket(t, ns, unix.AF_INET, unix.SOCK_STREAM, 0)
			must(t, unix.Connect(c, addr))
			a, _, err := unix.Accept4(l, unix.SOCK_CLOEXEC)
			must(t, err)
			must(t, unix.Shutdown(c, unix.SHUT_WR))
			_, err = unix.Read(a, make([]byte, 1))
			must(t, err)
			unix.Close(a)
			_, err = unix.Read(c, make([]byte, 1))
			must(t, err)
			hold(ns)
			replace(t, c)
			replace(t, l)
			snap := read(t, s, asking(source.Query{States: whose.SetOf(whose.TimeWait)}))
			n := 0
			for _, x := range snap.Sockets {
				if x.NetNS == ns.Inode() {
					n++
				}
			}
			if n != 1 || !slices.Contains(snap.NetNS, ns.Inode()) {
				t.Errorf("%d sockets in TIME_WAIT, want 1; namespaces %v, gaps %v", n, snap.NetNS, snap.Gaps)
			}
		})
	}
}

// TestPlain_Refused says which namespaces could not be entered, and nothing of
// those that are gone.
func TestPlain_Refused(t *testing.T) {
	testenv.CheckLeaks(t)
	s := openPlain(t)
	snap := read(t, s, asking(source.Query{Visit: []source.NetNSRef{
		{Inode: 1}, {Inode: 2}, {Inode: 3, TID: 1 << 30}, {Inode: 4, Path: "/dev/null"}, {Inode: 5, Path: "/proc/self/ns/net"},
	}}))
	i := slices.IndexFunc(snap.Gaps, func(g whose.Gap) bool { return g.Kind == whose.GapNamespaces && g.Why == errNoWay.Error() })
	if i < 0 || snap.Gaps[i].Count != 2 {
		t.Errorf("gaps %v, want one for two namespaces without a way in", snap.Gaps)
	}
	for _, inode := range []uint32{1, 2, 3, 4, 5} {
		if slices.Contains(snap.NetNS, inode) {
			t.Errorf("namespaces %v: %d was not read", snap.NetNS, inode)
		}
	}
	for err, want := range map[error]string{unix.EPERM: "permission denied", unix.EMFILE: "too many open files"} {
		if g := netnsGap(err); g.Why != want || g.Hint == "" {
			t.Errorf("%v: %+v", err, g)
		}
	}
	if err := enterBy(1, way{pid: 1 << 30, fd: 1}); !errors.Is(err, errGone) {
		t.Errorf("by a process that is not: %v", err)
	}
}

// TestPlain_UDPLite says of how many sockets of UDP-Lite nothing is known.
func TestPlain_UDPLite(t *testing.T) {
	ns := testenv.NewNetNS(t)
	s := openPlain(t)
	var fds [2]int
	for i := range fds {
		var err error
		ns.Do(func() {
			fds[i], err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.IPPROTO_UDPLITE)
		})
		if err != nil {
			testenv.Lacks(t, "UDP-Lite", err.Error())
		}
		t.Cleanup(func() { unix.Close(fds[i]) })
		must(t, unix.Bind(fds[i], loopback()))
	}
	if snap := read(t, s, visiting(ns, source.Query{})); len(snap.Sockets) != 2 || len(snap.Gaps) != 0 {
		t.Errorf("both held: %d sockets, gaps %v", len(snap.Sockets), snap.Gaps)
	}
	sendAway(t, fds[0])
	snap := read(t, s, visiting(ns, source.Query{}))
	if len(snap.Sockets) != 1 || len(snap.Gaps) != 1 || snap.Gaps[0].Count != 1 || snap.Gaps[0].Kind != whose.GapSockets {
		t.Errorf("one in transit: %d sockets, gaps %v", len(snap.Sockets), snap.Gaps)
	}
	if snap = read(t, s, visiting(ns, source.Query{Protos: whose.SetOf(whose.UDP)})); len(snap.Gaps) != 0 {
		t.Errorf("not asked for: gaps %v", snap.Gaps)
	}
}

// TestPlain_NotNeeded loads none of it where the tables can be walked.
func TestPlain_NotNeeded(t *testing.T) {
	s := open(t, Options{})
	read(t, s, asking(source.Query{States: whose.SetOf(whose.Listen)}))
	if s.Enters() || s.loaded.plain != nil {
		t.Error("iterators of each namespace are loaded where nobody needs them")
	}
}

// TestPlain_Without says what lacks where the iterators cannot be had.
func TestPlain_Without(t *testing.T) {
	s := openPlain(t)
	s.noPlain = errors.New("refused")
	var snap source.Snapshot
	s.noteGaps(&snap)
	if !slices.ContainsFunc(snap.Gaps, func(g whose.Gap) bool {
		return g.Kind == whose.GapSockets && strings.Contains(g.Why, "refused") && g.Hint != ""
	}) {
		t.Errorf("gaps %v", snap.Gaps)
	}
}

// TestPlain_Pinned reads through a pin as an older kernel has it: no more than
// what descriptors hold, with a gap, and no records that readers do not know.
func TestPlain_Pinned(t *testing.T) {
	dir := testenv.NeedBPFFS(t) + "/whose"
	testenv.NeedKernel(t, 5, 11, "bpf_sock_from_file")
	ns := testenv.NewNetNS(t)
	l, addr := listen(t, ns)
	must(t, unix.Connect(socket(t, ns, unix.AF_INET, unix.SOCK_STREAM, 0), addr))
	p, err := load(loading{plain: true})
	must(t, err)
	must(t, prepareDir(dir, &PinOptions{}))
	must(t, errors.Join(p.pin(dir, &PinOptions{}), p.close()))
	t.Cleanup(func() { must(t, Unpin(dir)) })
	s, err := OpenPinned(dir, Options{})
	must(t, err)
	if s.Enters() {
		t.Error("a pin wants to enter namespaces")
	}
	snap := read(t, s, inNetNS(ns, source.Query{}))
	if len(snap.Sockets) != 2 || len(find(snap, inodeOf(t, l))) != 1 {
		t.Errorf("%d sockets, want listener and client: %+v", len(snap.Sockets), snap.Sockets)
	}
	if !slices.ContainsFunc(snap.Gaps, func(g whose.Gap) bool { return g.Kind == whose.GapSockets && g.Hint != "" }) {
		t.Errorf("gaps %v, want one for what no descriptor holds", snap.Gaps)
	}
	none := func(b []byte) error {
		for r := (records{rest: b}); r.next(); {
			if r.kind == recordWay {
				return errors.New("a way is told")
			}
		}
		return nil
	}
	must(t, s.readEvery(context.Background(), newQuestion(asking(source.Query{})), none))
}
