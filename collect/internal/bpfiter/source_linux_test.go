package bpfiter

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"os"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/bpf"
	"github.com/seed-44df2ae6/whose/internal/source"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// open returns a source of programs that it loads.
func open(t testing.TB, o Options) *Source {
	t.Helper()
	testenv.NeedCap(t, unix.CAP_BPF, unix.CAP_PERFMON)
	s, err := Load(o)
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	if s.hashWalk == nil {
		testenv.NeedKernel(t, 5, 19, "the walk of the socket tables")
		var log *ebpf.VerifierError
		errors.As(s.loaded.noHashWalk, &log)
		t.Fatalf("no walk of the socket tables: %v\n%+v", s.loaded.noHashWalk, log)
	}
	return s
}

func read(t testing.TB, s *Source, q *source.Query) *source.Snapshot {
	t.Helper()
	var snap source.Snapshot
	if err := s.Read(context.Background(), q, &snap); err != nil {
		t.Fatalf("read: %v", err)
	}
	return &snap
}

// A namespace is a network namespace of a test.
type namespace interface {
	Inode() uint32
	Do(func())
}

// inNetNS asks for one namespace.
func inNetNS(ns namespace, q source.Query) *source.Query {
	q.NetNS = []uint32{ns.Inode()}
	return asking(q)
}

// socket opens a socket in the namespace, closed when the test ends.
func socket(t testing.TB, ns namespace, family, kind, proto int) int {
	t.Helper()
	fd, err := -1, error(nil)
	ns.Do(func() { fd, err = unix.Socket(family, kind|unix.SOCK_CLOEXEC, proto) })
	if err != nil {
		t.Fatalf("socket: %v", err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func loopback() unix.Sockaddr { return &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}} }

// listen returns a TCP listener of the namespace and its address.
func listen(t testing.TB, ns namespace) (int, unix.Sockaddr) {
	t.Helper()
	fd := socket(t, ns, unix.AF_INET, unix.SOCK_STREAM, 0)
	must(t, unix.Bind(fd, loopback()))
	must(t, unix.Listen(fd, 128))
	return fd, nameOf(t, fd)
}

func nameOf(t testing.TB, fd int) unix.Sockaddr {
	t.Helper()
	name, err := unix.Getsockname(fd)
	must(t, err)
	return name
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// sendAway leaves a socket in transit and its descriptor on something else. The
// returned function receives it there again.
func sendAway(t testing.TB, fd int) (back func()) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { unix.Close(pair[0]); unix.Close(pair[1]) })
	must(t, unix.Sendmsg(pair[0], []byte{1}, unix.UnixRights(fd), nil, 0))
	null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(null)
	must(t, unix.Dup3(null, fd, unix.O_CLOEXEC))
	return func() {
		t.Helper()
		room := make([]byte, unix.CmsgSpace(4))
		_, n, _, _, err := unix.Recvmsg(pair[1], make([]byte, 1), room, unix.MSG_CMSG_CLOEXEC)
		must(t, err)
		messages, err := unix.ParseSocketControlMessage(room[:n])
		must(t, err)
		fds, err := unix.ParseUnixRights(&messages[0])
		must(t, err)
		must(t, unix.Dup3(fds[0], fd, unix.O_CLOEXEC))
		must(t, unix.Close(fds[0]))
	}
}

func inodeOf(t testing.TB, fd int) uint64 {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Fstat(fd, &st))
	return st.Ino
}

func find(snap *source.Snapshot, inode uint64) []source.Socket {
	var found []source.Socket
	for _, s := range snap.Sockets {
		if s.Inode == inode {
			found = append(found, s)
		}
	}
	return found
}

func holders(snap *source.Snapshot, inode uint64) []source.Holding {
	var found []source.Holding
	for _, h := range snap.Holdings {
		if h.Inode == inode {
			found = append(found, h)
		}
	}
	return found
}

// TestRead compares a connection, its listener and what waits to be accepted
// with what the kernel says of them elsewhere.
func TestRead(t *testing.T) {
	testenv.CheckLeaks(t)
	ns := testenv.NewNetNS(t)
	s := open(t, Options{})
	l, addr := listen(t, ns)
	c := socket(t, ns, unix.AF_INET, unix.SOCK_STREAM, 0)
	must(t, unix.Connect(c, addr))
	_, err := unix.Write(c, []byte("hello"))
	must(t, err)
	snap := read(t, s, inNetNS(ns, source.Query{States: whose.DefaultStates, Needs: whose.NeedTCPInfo | whose.NeedCookie}))
	if len(snap.Sockets) != 3 {
		t.Fatalf("%d sockets, want listener, client and what waits: %+v", len(snap.Sockets), snap.Sockets)
	}
	port := uint16(addr.(*unix.SockaddrInet4).Port)
	got := find(snap, inodeOf(t, l))
	if len(got) != 1 || got[0].State != whose.Listen || got[0].LocalPort != port || got[0].RecvQueue != 1 ||
		got[0].SendQueue != 128 || got[0].Proto != whose.TCP || got[0].Flags != source.SocketFile {
		t.Errorf("listener %+v", got)
	}
	cookie, err := unix.GetsockoptUint64(c, unix.SOL_SOCKET, unix.SO_COOKIE)
	must(t, err)
	got = find(snap, inodeOf(t, c))
	if len(got) != 1 || got[0].State != whose.Established || got[0].RemotePort != port || got[0].Cookie != cookie ||
		got[0].Local != netip.MustParseAddr("127.0.0.1").As16() || got[0].TCPInfo == 0 {
		t.Errorf("client %+v, cookie %d", got, cookie)
	} else if info := snap.TCPInfo[got[0].TCPInfo-1]; info.BytesSent != 5 || info.Cong == "" {
		t.Errorf("client's figures %+v", info)
	}
	want := []source.Holding{{Inode: inodeOf(t, c), PID: uint32(os.Getpid()), FD: int32(c)}}
	if got := holders(snap, inodeOf(t, c)); !slices.Equal(got, want) {
		t.Errorf("client held by %+v, want %+v", got, want)
	}
	got = find(snap, 0)
	if len(got) != 1 || got[0].LocalPort != port || got[0].RecvQueue != 5 || got[0].Flags != source.SocketNoFile|source.SocketAccepted {
		t.Errorf("what waits %+v", got)
	}
}

// TestRead_Threads shows that the number of threads does not matter.
func TestRead_Threads(t *testing.T) {
	ns := testenv.NewNetNS(t)
	for range 30 {
		l, _ := listen(t, ns)
		dup, err := unix.FcntlInt(uintptr(l), unix.F_DUPFD_CLOEXEC, 0)
		must(t, err)
		t.Cleanup(func() { unix.Close(dup) })
	}
	for _, threads := range []int{1, 2, 3, 7} {
		snap := read(t, open(t, Options{Threads: threads}), inNetNS(ns, source.Query{}))
		if len(snap.Sockets) != 30 || len(snap.Holdings) != 60 {
			t.Errorf("%d threads: %d sockets, %d holdings; want 30, 60", threads, len(snap.Sockets), len(snap.Holdings))
		}
		if !slices.Equal(snap.NetNS, []uint32{ns.Inode()}) {
			t.Errorf("%d threads: namespaces %v, want %d", threads, snap.NetNS, ns.Inode())
		}
	}
}

// reusing returns UDP sockets that are all bound to the same address and port.
func reusing(t testing.TB, ns namespace, n int) []int {
	t.Helper()
	var fds []int
	var err error
	ns.Do(func() {
		addr := loopback()
		for range n {
			var fd int
			if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
				return
			}
			fds = append(fds, fd)
			err = errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1), unix.Bind(fd, addr))
			if err != nil {
				return
			}
			addr, _ = unix.Getsockname(fd)
		}
	})
	t.Cleanup(func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	})
	must(t, err)
	return fds
}

// TestRead_OneBucket has more sockets in one bucket than fit a read of the
// walk: UDP hashes by the local port.
func TestRead_OneBucket(t *testing.T) {
	ns := testenv.NewNetNS(t)
	s := open(t, Options{})
	const n = 5000
	fds := reusing(t, ns, n)
	// The walk has to meet each of them: those that it does not would be
	// lost if nobody held them.
	s.reading.reset(inNetNS(ns, source.Query{}), new(source.Snapshot))
	ask, err := s.question(inNetNS(ns, source.Query{}))
	must(t, err)
	must(t, s.readTables(context.Background(), ask))
	met := make(map[uint64]bool)
	for _, at := range s.reading.unmet {
		met[uint64(at.inode)] = true
	}
	for _, fd := range fds {
		if !met[inodeOf(t, fd)] {
			t.Fatalf("the walk met %d of %d sockets of one bucket", len(met), n)
		}
	}
	snap := read(t, s, inNetNS(ns, source.Query{}))
	if len(snap.Sockets) != n {
		t.Errorf("%d sockets, want %d", len(snap.Sockets), n)
	}
}

// isUnmet reports whether the walk met the socket and no descriptor was.
func isUnmet(s *Source, inode uint64) bool {
	return slices.ContainsFunc(s.reading.unmet, func(at sighting) bool { return uint64(at.inode) == inode })
}

// TestRead_Tables shows that every table is walked.
func TestRead_Tables(t *testing.T) {
	ns := testenv.NewNetNS(t)
	s := open(t, Options{})
	l, addr := listen(t, ns)
	c := socket(t, ns, unix.AF_INET, unix.SOCK_STREAM, 0)
	must(t, unix.Connect(c, addr))
	u := socket(t, ns, unix.AF_INET, unix.SOCK_DGRAM, 0)
	must(t, unix.Bind(u, loopback()))
	want := map[string]int{"listeners": l, "connections": c, "UDP": u}
	var lite int
	var err error
	ns.Do(func() { lite, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.IPPROTO_UDPLITE) })
	if err == nil { // a protocol that kernels give up
		t.Cleanup(func() { unix.Close(lite) })
		must(t, unix.Bind(lite, loopback()))
		want["UDP-Lite"] = lite
	}
	q := inNetNS(ns, source.Query{})
	s.reading.reset(q, new(source.Snapshot))
	must(t, s.readTables(context.Background(), newQuestion(q)))
	for table, fd := range want {
		if !isUnmet(s, inodeOf(t, fd)) {
			t.Errorf("the walk did not meet the socket of the table of %s", table)
		}
	}
}

// TestRead_InFlight passes a socket and leaves it in transit.
func TestRead_InFlight(t *testing.T) {
	ns := testenv.NewNetNS(t)
	s := open(t, Options{})
	l, _ := listen(t, ns)
	inode := inodeOf(t, l)
	sendAway(t, l)
	snap := read(t, s, inNetNS(ns, source.Query{}))
	got := find(snap, inode)
	if len(got) != 1 || got[0].State != whose.Listen || got[0].Flags != source.SocketFile {
		t.Errorf("in flight: %+v", got)
	}
	if h := holders(snap, inode); len(h) != 0 {
		t.Errorf("in flight, and held by %+v", h)
	}
}

// TestRead_Unmet has the second look find the holders of all sockets of a namespace:
// the first look is left out. Of few sockets most descriptors are passed by a summary
// of what is looked for, and of many none.
func TestRead_Unmet(t *testing.T) {
	testenv.NeedKernel(t, 6, 2, "bpf_rdonly_cast")
	s := open(t, Options{})
	for _, n := range []int{1, 20, 500} {
		ns := testenv.NewNetNS(t)
		fds := reusing(t, ns, n)
		far, err := unix.FcntlInt(uintptr(fds[0]), unix.F_DUPFD_CLOEXEC, 5000)
		must(t, err)
		t.Cleanup(func() { unix.Close(far) })
		var snap source.Snapshot
		q := inNetNS(ns, source.Query{})
		s.reading.reset(q, &snap)
		ask, err := s.question(q)
		must(t, err)
		must(t, s.readTables(context.Background(), ask))
		must(t, s.readUnmet(context.Background(), ask))
		s.reading.settleDoubtful()
		var want []source.Holding
		for _, fd := range append(fds, far) {
			want = append(want, source.Holding{Inode: inodeOf(t, fd), PID: uint32(os.Getpid()), FD: int32(fd)})
		}
		slices.SortFunc(want, compareHoldings)
		if got := holdingsIn(&snap, ns); !slices.Equal(got, want) {
			t.Errorf("of %d sockets: %d holdings, want %d", n, len(got), len(want))
		}
	}
}

// TestRead_WalkVariants walks the tables with hash_walk as it was built with
// casts and with probes.
func TestRead_WalkVariants(t *testing.T) {
	ns := testenv.NewNetNS(t)
	s := open(t, Options{})
	l, addr := listen(t, ns)
	for range 5 {
		c := socket(t, ns, unix.AF_INET, unix.SOCK_STREAM, 0)
		must(t, unix.Connect(c, addr))
	}
	q := inNetNS(ns, source.Query{})
	variants := map[string][]byte{"probes": _HashProbeBytes}
	if major, minor := testenv.Kernel(t); major > 6 || major == 6 && minor >= 2 {
		variants["casts"] = _HashWalkBytes
	}
	for name, object := range variants {
		hash, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(object))
		must(t, err)
		k, err := bpf.ReadTypes(object)
		must(t, err)
		p := noPrograms()
		p.secret, p.set = s.loaded.secret, s.loaded.set
		must(t, p.tryHashWalk(hash, k, bpf.LoadQuickly))
		t.Cleanup(func() { must(t, p.close()) })
		s.hashWalk = p.hashWalkLink
		snap := read(t, s, q)
		if n := len(find(snap, 0)); n != 5 {
			t.Errorf("by %s %d connections wait to be accepted, want 5", name, n)
		}
		s.reading.reset(q, new(source.Snapshot))
		must(t, s.readTables(context.Background(), newQuestion(q)))
		if !isUnmet(s, inodeOf(t, l)) {
			t.Errorf("by %s the walk did not meet the listener", name)
		}
	}
}

// TestRead_Cookie wants the cookie of a socket that nobody asked for it before,
// and no look at the descriptors for it where it is not shown.
func TestRead_Cookie(t *testing.T) {
	testenv.NeedKernel(t, 6, 2, "bpf_rdonly_cast")
	ns := testenv.NewNetNS(t)
	s := open(t, Options{})
	l, _ := listen(t, ns)
	inode := inodeOf(t, l)
	got := find(read(t, s, inNetNS(ns, source.Query{})), inode)
	// A tracer of somebody else's may have asked for it.
	if len(got) != 1 || s.taskFile != nil {
		t.Errorf("not asked for: %+v, task_file loaded: %v", got, s.taskFile != nil)
	}
	got = find(read(t, s, inNetNS(ns, source.Query{Needs: whose.NeedCookie})), inode)
	want, err := unix.GetsockoptUint64(l, unix.SOL_SOCKET, unix.SO_COOKIE)
	must(t, err)
	if len(got) != 1 || got[0].Cookie != want {
		t.Errorf("asked for: %+v, want %d", got, want)
	}
}

// holdingsIn returns all holdings of sockets of the namespace, sorted.
func holdingsIn(snap *source.Snapshot, ns namespace) []source.Holding {
	in := make(map[uint64]bool)
	for i := range snap.Sockets {
		if s := &snap.Sockets[i]; s.NetNS == ns.Inode() {
			in[s.Inode] = true
		}
	}
	var all []source.Holding
	for _, h := range snap.Holdings {
		if in[h.Inode] {
			all = append(all, h)
		}
	}
	slices.SortFunc(all, compareHoldings)
	return all
}

// TestRead_NoAllocs shows that a source kept open takes no memory for a socket.
func TestRead_NoAllocs(t *testing.T) {
	ns := testenv.NewNetNS(t)
	s := open(t, Options{})
	var snap source.Snapshot
	q := inNetNS(ns, source.Query{Needs: whose.NeedTCPInfo, States: whose.SetOf(whose.Listen, whose.Unconn)})
	pass := func() {
		snap.Reset()
		must(t, s.Read(context.Background(), q, &snap))
	}
	pass()
	few := testing.AllocsPerRun(10, pass)
	reusing(t, ns, 2000)
	pass()
	const inRun, perRun = 128, 40 // sockets; threads and their questions
	if many := testing.AllocsPerRun(10, pass); many > few+20+2000/inRun*perRun {
		t.Errorf("%v allocations with 2,000 sockets, %v with none", many, few)
	}
	if len(snap.Sockets) != 2000 {
		t.Errorf("%d sockets, want 2,000", len(snap.Sockets))
	}
}

// TestRead_Cancelled ends with the context's error and leaves nothing behind.
func TestRead_Cancelled(t *testing.T) {
	testenv.CheckLeaks(t)
	s := open(t, Options{})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Read(ctx, asking(source.Query{}), new(source.Snapshot)); err == nil {
		t.Error("a cancelled read gives no error")
	}
	read(t, s, asking(source.Query{})) // and the next one works
}
