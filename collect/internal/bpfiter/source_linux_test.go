package bpfiter

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"sync"
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

// sendAway leaves a socket in transit and its descriptor on something else.
func sendAway(t testing.TB, fd int) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { unix.Close(pair[0]); unix.Close(pair[1]) })
	must(t, unix.Sendmsg(pair[0], []byte{1}, unix.UnixRights(fd), nil, 0))
	null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(null)
	must(t, unix.Dup3(null, fd, unix.O_CLOEXEC))
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
	must(t, s.loaded.setConditions(inNetNS(ns, source.Query{})))
	must(t, s.readTables(context.Background(), newQuestion(asking(source.Query{}))))
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

// A childNS is a network namespace made from another one, whose settings it takes.
type childNS struct {
	t    testing.TB
	file *os.File
	ino  uint32
}

// newChildNS makes a namespace whose tables of sockets have so many buckets,
// and are its own.
func newChildNS(t testing.TB, buckets string) *childNS {
	t.Helper()
	return newChildOf(t, testenv.NewNetNS(t), buckets)
}

func newChildOf(t testing.TB, parent *testenv.NetNS, buckets string) *childNS {
	t.Helper()
	c := &childNS{t: t}
	err := testenv.OnThread(func() error {
		if err := unix.Setns(parent.FD(), unix.CLONE_NEWNET); err != nil {
			return err
		}
		for _, name := range []string{"tcp_child_ehash_entries", "udp_child_hash_entries"} {
			if err := os.WriteFile("/proc/sys/net/ipv4/"+name, []byte(buckets), 0); err != nil {
				return err
			}
		}
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		var err error
		c.file, err = os.Open("/proc/thread-self/ns/net")
		return errors.Join(err, exec.Command("ip", "link", "set", "lo", "up").Run())
	})
	must(t, err)
	t.Cleanup(func() { c.file.Close() })
	var st unix.Stat_t
	must(t, unix.Fstat(int(c.file.Fd()), &st))
	c.ino = uint32(st.Ino)
	return c
}

func (c *childNS) Inode() uint32 { return c.ino }

func (c *childNS) Do(fn func()) {
	err := testenv.OnThread(func() error {
		if err := unix.Setns(int(c.file.Fd()), unix.CLONE_NEWNET); err != nil {
			return err
		}
		fn()
		return nil
	})
	must(c.t, err)
}

// TestRead_OwnTables has a namespace with tables of sockets of its own.
func TestRead_OwnTables(t *testing.T) {
	testenv.NeedKernel(t, 6, 2, "a namespace's own table of UDP sockets")
	testenv.NeedProgram(t, "ip")
	child := newChildNS(t, "256")
	s := open(t, Options{})
	l, addr := listen(t, child)
	for range 40 {
		c := socket(t, child, unix.AF_INET, unix.SOCK_STREAM, 0)
		must(t, unix.Connect(c, addr))
	}
	u := socket(t, child, unix.AF_INET, unix.SOCK_DGRAM, 0)
	must(t, unix.Bind(u, loopback()))
	snap := read(t, s, inNetNS(child, source.Query{}))
	if waiting := len(find(snap, 0)); waiting != 40 {
		t.Errorf("%d connections wait to be accepted, want 40", waiting)
	}
	s.reading.reset(inNetNS(child, source.Query{}), new(source.Snapshot))
	must(t, s.readRuns(context.Background(), []run{s.run(hashWalk, s.hashWalk, newQuestion(asking(source.Query{})), s.reading.applyTables)}))
	if len(s.reading.more) < 2 {
		t.Errorf("%d tables of its own, want that of TCP and that of UDP", len(s.reading.more))
	}
	must(t, s.resume(context.Background(), newQuestion(asking(source.Query{})), s.reading.applyTables))
	for name, fd := range map[string]int{"listener": l, "UDP socket": u} {
		if !isUnmet(s, inodeOf(t, fd)) {
			t.Errorf("the walk did not meet the %s", name)
		}
	}
}

// TestRead_OwnTables_Sizes has tables of less than a group of buckets, of some, and
// of so many that most groups are empty.
func TestRead_OwnTables_Sizes(t *testing.T) {
	testenv.NeedKernel(t, 6, 2, "a namespace's own table of UDP sockets")
	testenv.NeedProgram(t, "ip")
	s := open(t, Options{})
	for _, buckets := range []string{"1", "2", "4", "8", "16", "128", "65536"} {
		const n = 30
		child := newChildNS(t, buckets)
		var want []int
		for range n {
			l, addr := listen(t, child)
			c := socket(t, child, unix.AF_INET, unix.SOCK_STREAM, 0)
			must(t, unix.Connect(c, addr))
			u := socket(t, child, unix.AF_INET, unix.SOCK_DGRAM, 0)
			must(t, unix.Bind(u, loopback()))
			want = append(want, l, c, u)
		}
		q := inNetNS(child, source.Query{})
		snap := read(t, s, q)
		if waiting := len(find(snap, 0)); waiting != n {
			t.Errorf("of %s buckets: %d connections wait to be accepted, want %d", buckets, waiting, n)
		}
		s.reading.reset(q, new(source.Snapshot))
		must(t, s.readTables(context.Background(), newQuestion(q)))
		for i, fd := range want {
			if !isUnmet(s, inodeOf(t, fd)) {
				t.Errorf("of %s buckets: the walk did not meet socket %d", buckets, i)
			}
		}
	}
}

// collidingWith makes a namespace whose number has the same lower bits as that of
// another. Numbers are given out from the lowest free one on, and namespaces of
// other kinds take them too.
func collidingWith(t *testing.T, other *childNS, bits int) *childNS {
	t.Helper()
	parent := testenv.NewNetNS(t)
	for range 50 {
		freeNumber(t, other.ino, uint32(1)<<bits-1)
		c := newChildOf(t, parent, "256")
		if (c.ino^other.ino)&(1<<bits-1) == 0 {
			return c
		}
	}
	t.Skipf("others took the numbers that were made free")
	return nil
}

// freeNumber takes all numbers of namespaces up to one with these lower bits, and
// gives back that one alone.
func freeNumber(t *testing.T, like, mask uint32) {
	t.Helper()
	must(t, testenv.OnThread(func() error {
		for range 4 * (mask + 1) {
			if err := unix.Unshare(unix.CLONE_NEWUTS); err != nil {
				return err
			}
			f, err := os.Open("/proc/thread-self/ns/uts")
			if err != nil {
				return err
			}
			var st unix.Stat_t
			if err := unix.Fstat(int(f.Fd()), &st); err != nil {
				return err
			}
			if ino := uint32(st.Ino); (ino^like)&mask == 0 && ino != like {
				// The thread goes on in another one, so that nobody has this.
				return errors.Join(unix.Unshare(unix.CLONE_NEWUTS), f.Close())
			}
			t.Cleanup(func() { f.Close() })
		}
		return errors.New("no such number came")
	}))
}

// TestRead_OwnTables_SameBits has two namespaces with tables of their own, whose
// numbers agree in their lower 13 bits.
func TestRead_OwnTables_SameBits(t *testing.T) {
	testenv.NeedKernel(t, 6, 2, "a namespace's own table of UDP sockets")
	testenv.NeedProgram(t, "ip")
	a := newChildNS(t, "256")
	b := collidingWith(t, a, 13)
	want := map[uint32]int{a.ino: 3, b.ino: 5}
	for _, ns := range []*childNS{a, b} {
		_, addr := listen(t, ns)
		for range want[ns.ino] {
			c := socket(t, ns, unix.AF_INET, unix.SOCK_STREAM, 0)
			must(t, unix.Connect(c, addr))
		}
	}
	got := make(map[uint32]int)
	for _, at := range find(read(t, open(t, Options{}), asking(source.Query{})), 0) {
		if _, ours := want[at.NetNS]; ours && at.State == whose.Established {
			got[at.NetNS]++
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("connections wait to be accepted, by namespace: %v, want %v", got, want)
	}
}

// TestRead_OwnTables_Long has more sockets without a file in a table of one
// element than fit a read, with their figures.
func TestRead_OwnTables_Long(t *testing.T) {
	testenv.NeedKernel(t, 6, 2, "a namespace's own table of UDP sockets")
	testenv.NeedProgram(t, "ip")
	const n = 900
	child := newChildNS(t, "1")
	var addr unix.Sockaddr
	for i := range n {
		if i%100 == 0 {
			_, addr = listen(t, child)
		}
		c := socket(t, child, unix.AF_INET, unix.SOCK_STREAM, 0)
		must(t, unix.Connect(c, addr))
		must(t, unix.Shutdown(c, unix.SHUT_WR))
		null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		must(t, err)
		must(t, errors.Join(unix.Dup3(null, c, unix.O_CLOEXEC), unix.Close(null)))
	}
	q := inNetNS(child, source.Query{Needs: whose.NeedTCPInfo, States: whose.SetOf(whose.CloseWait)})
	snap := read(t, open(t, Options{}), q)
	waiting := find(snap, 0)
	for _, s := range waiting {
		if s.TCPInfo == 0 {
			t.Fatalf("no figures of %+v", s)
		}
	}
	if len(waiting) != n || len(snap.Gaps) != 0 {
		t.Errorf("%d connections wait to be accepted, want %d; gaps %v", len(waiting), n, snap.Gaps)
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
		must(t, s.loaded.setConditions(q))
		must(t, s.readTables(context.Background(), newQuestion(q)))
		must(t, s.readUnmet(context.Background(), newQuestion(q)))
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

// TestRead_GoesOn has tables that go on after a run in every way: many sockets side
// by side, a few far apart, behind other descriptors, behind sockets that are not
// asked for, and in a table of a thread. fd_walk shows each descriptor that
// task_file does, once.
func TestRead_GoesOn(t *testing.T) {
	testenv.NeedKernel(t, 6, 2, "bpf_rdonly_cast")
	ns := testenv.NewNetNS(t)
	s := open(t, Options{})
	must(t, s.needTaskFile())
	for _, n := range []int{1, 128, 129, 159, 160, 161, 700} {
		startSockets(t, ns, n)
	}
	fd := reusing(t, ns, 1)[0]
	dup := func(from, n int) {
		for i := range n {
			got, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, from+i)
			must(t, err)
			t.Cleanup(func() { unix.Close(got) })
		}
	}
	for range 700 { // sockets of no interest
		other, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		must(t, err)
		t.Cleanup(func() { unix.Close(other) })
	}
	for i := range 30 {
		dup(1000+i*100, 1)
	}
	dup(4090, 12)
	dup(9000, 400)
	parted(t, fd, 9350, 200)
	for _, needs := range []whose.Needs{0, whose.NeedTCPInfo} {
		q := inNetNS(ns, source.Query{Needs: needs})
		fast := holdingsIn(read(t, s, q), ns)
		walk := s.fdWalk
		s.fdWalk = nil
		plain := holdingsIn(read(t, s, q), ns)
		s.fdWalk = walk
		if !slices.Equal(fast, plain) {
			t.Errorf("%d holdings, %d by task_file", len(fast), len(plain))
		}
		if want := 1438 + 443 + 200; len(plain) != want {
			t.Errorf("%d holdings by task_file, want %d", len(plain), want)
		}
	}
}

// TestRead_OneRun has a process with many descriptors, and few of them sockets: one
// run over all processes shows them.
func TestRead_OneRun(t *testing.T) {
	testenv.NeedKernel(t, 6, 2, "bpf_rdonly_cast")
	ns := testenv.NewNetNS(t)
	s := open(t, Options{})
	fd := reusing(t, ns, 1)[0]
	null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { unix.Close(null) })
	for range 1500 {
		dup, err := unix.FcntlInt(uintptr(null), unix.F_DUPFD_CLOEXEC, 0)
		must(t, err)
		t.Cleanup(func() { unix.Close(dup) })
	}
	far, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 1500)
	must(t, err)
	t.Cleanup(func() { unix.Close(far) })
	snap := read(t, s, inNetNS(ns, source.Query{}))
	if n := len(holders(snap, inodeOf(t, fd))); n != 2 {
		t.Errorf("held by %d descriptors, want 2", n)
	}
	if p, ok := s.reading.later[uint32(os.Getpid())]; ok {
		t.Errorf("this process was read again from descriptor %d on", p.from)
	}
}

// TestRead_Windows compares what fd_walk finds, run by run, with what task_file
// does. A table of this process goes on beyond several runs.
func TestRead_Windows(t *testing.T) {
	ns := testenv.NewNetNS(t)
	s := open(t, Options{})
	testenv.NeedKernel(t, 6, 2, "bpf_rdonly_cast")
	if s.fdWalk == nil {
		t.Fatal("no fd_walk")
	}
	var fds []int
	for range 20 {
		l, addr := listen(t, ns)
		c := socket(t, ns, unix.AF_INET, unix.SOCK_STREAM, 0)
		must(t, unix.Connect(c, addr))
		fds = append(fds, l, c)
	}
	fds = append(fds, reusing(t, ns, 20)...)
	for range 2000 { // more than a run shows
		dup, err := unix.FcntlInt(uintptr(fds[0]), unix.F_DUPFD_CLOEXEC, 0)
		must(t, err)
		t.Cleanup(func() { unix.Close(dup) })
	}
	q := inNetNS(ns, source.Query{Needs: whose.NeedTCPInfo | whose.NeedCookie})
	must(t, s.needTaskFile())
	walk := s.fdWalk
	s.fdWalk = nil
	before := read(t, s, q)
	s.fdWalk = walk
	fast := read(t, s, q)
	s.fdWalk = nil
	plain := read(t, s, q)
	if len(fast.Sockets) != len(plain.Sockets) || len(fast.TCPInfo) != len(plain.TCPInfo) {
		t.Errorf("%d sockets and %d figures of TCP, %d and %d by task_file",
			len(fast.Sockets), len(fast.TCPInfo), len(plain.Sockets), len(plain.TCPInfo))
	}
	for _, fd := range fds {
		ino := inodeOf(t, fd)
		a, b := find(fast, ino), find(plain, ino)
		if len(a) != 1 || len(b) != 1 {
			t.Fatalf("inode %d: %d sockets, %d by task_file", ino, len(a), len(b))
		}
		a[0].TCPInfo, b[0].TCPInfo = 0, 0 // places
		if a[0] != b[0] {
			t.Errorf("inode %d: %+v, by task_file %+v", ino, a[0], b[0])
		}
		h, w := holders(fast, ino), holders(plain, ino)
		slices.SortFunc(h, compareHoldings)
		slices.SortFunc(w, compareHoldings)
		if !slices.Equal(h, w) {
			t.Errorf("inode %d: %d holdings, %d by task_file", ino, len(h), len(w))
		}
	}
	least, most := min(before.Processes, plain.Processes), max(before.Processes, plain.Processes)
	if fast.Processes < least-5 || fast.Processes > most+5 {
		t.Errorf("%d processes, %d to %d by task_file", fast.Processes, least, most)
	}
}

// TestRead_OneProcess asks for this process, with and without links to it.
func TestRead_OneProcess(t *testing.T) {
	ns := testenv.NewNetNS(t)
	s := open(t, Options{})
	l, addr := listen(t, ns)
	c := socket(t, ns, unix.AF_INET, unix.SOCK_STREAM, 0)
	must(t, unix.Connect(c, addr))
	me := uint32(os.Getpid())
	many := []uint32{me}
	for pid := range uint32(maxProcessLinks) {
		many = append(many, 4_000_000+pid) // above every pid there can be
	}
	for name, pids := range map[string][]uint32{"a link": {me}, "no links": many, "nobody": {4_000_000}} {
		snap := read(t, s, inNetNS(ns, source.Query{PIDs: pids, States: whose.SetOf(whose.Established)}))
		want := 2 // the client and what waits for the listener
		if name == "nobody" {
			want = 0
		}
		if len(snap.Sockets) != want || len(find(snap, inodeOf(t, l))) != 0 {
			t.Errorf("%s: %d sockets, want %d: %+v", name, len(snap.Sockets), want, snap.Sockets)
		}
		for _, h := range snap.Holdings {
			if h.PID != me {
				t.Errorf("%s: held by %d too", name, h.PID)
			}
		}
	}
}

// parted holds n duplicates of fd in a descriptor table of its own, from the first
// one on, until the test ends. Returns the thread that has them.
func parted(t *testing.T, fd, first, n int) (tid int) {
	t.Helper()
	stop, ready := make(chan struct{}), make(chan error)
	var thread sync.WaitGroup
	thread.Go(func() {
		must(t, testenv.OnThread(func() error {
			tid = unix.Gettid()
			err := unix.Unshare(unix.CLONE_FILES)
			for i := 0; i < n && err == nil; i++ {
				_, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, first+i)
			}
			ready <- err
			<-stop
			return nil
		}))
	})
	t.Cleanup(func() { close(stop); thread.Wait() })
	must(t, <-ready)
	return tid
}

// TestRead_Alone asks for one process whose table goes on after a run, and for
// threads of it with tables of their own, and compares with task_file.
func TestRead_Alone(t *testing.T) {
	testenv.NeedKernel(t, 6, 2, "bpf_rdonly_cast")
	ns := testenv.NewNetNS(t)
	s := open(t, Options{})
	must(t, s.needTaskFile())
	fd := reusing(t, ns, 300)[0]
	for _, from := range []int{700, 4090, 5000, 9000} {
		for i := range 200 {
			dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, from+i)
			must(t, err)
			t.Cleanup(func() { unix.Close(dup) })
		}
	}
	tid := parted(t, fd, 9100, 300)
	parted(t, fd, 12_000, 10)
	other := startSockets(t, ns, 3)
	me := uint32(os.Getpid())
	for _, c := range []struct {
		name string
		pids []uint32
		want int
	}{
		{"this process", []uint32{me}, 300 + 4*200 + 300 + 10}, {"another", []uint32{other}, 3}, {"both", []uint32{me, other}, 1413},
		{"a thread", []uint32{uint32(tid)}, 0}, {"nobody", []uint32{maxPID}, 0}, {"no number", []uint32{0}, 0}, {"too high", []uint32{1<<32 - 1, 1 << 24}, 0},
	} {
		for _, needs := range []whose.Needs{0, whose.NeedTCPInfo} {
			q := inNetNS(ns, source.Query{PIDs: c.pids, Needs: needs})
			snap := read(t, s, q)
			fast := holdingsIn(snap, ns)
			if len(fast) != c.want {
				t.Errorf("%s: %d holdings, want %d", c.name, len(fast), c.want)
			}
			if live := min(c.want, len(c.pids)); snap.Processes != live {
				t.Errorf("%s: %d processes, want %d", c.name, snap.Processes, live)
			}
			if c.want == 0 {
				continue
			}
			walk := s.fdWalk
			s.fdWalk = nil
			plain := holdingsIn(read(t, s, q), ns)
			s.fdWalk = walk
			if !slices.Equal(fast, plain) {
				t.Errorf("%s: %d holdings, %d by task_file", c.name, len(fast), len(plain))
			}
		}
	}
}

// TestRead_Alone_Work counts what a question for one process takes: no visit for any
// other.
func TestRead_Alone_Work(t *testing.T) {
	testenv.NeedKernel(t, 6, 2, "bpf_rdonly_cast")
	ns := testenv.NewNetNS(t)
	var last uint32
	for range 30 {
		last = startSockets(t, ns, 2)
	}
	s := open(t, Options{})
	stats, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
	must(t, err)
	t.Cleanup(func() { stats.Close() })
	visits := func() uint64 {
		st, err := s.loaded.fdWalk.Programs[fdWalkProgFdWalk].Stats()
		must(t, err)
		return st.RunCount
	}
	before := visits()
	snap := read(t, s, inNetNS(ns, source.Query{PIDs: []uint32{last}}))
	if n := len(holdingsIn(snap, ns)); n != 2 {
		t.Errorf("%d holdings, want 2", n)
	}
	// One for the leader, one that ends the read, and once more for its EAGAIN.
	if n := visits() - before; n > 4 {
		t.Errorf("%d visits for one process among 30 others", n)
	}
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
