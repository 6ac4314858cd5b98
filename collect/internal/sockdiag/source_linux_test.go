package sockdiag

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/source"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// read asks a fresh source for the sockets of a namespace.
func read(t testing.TB, ns *testenv.NetNS, q source.Query) *source.Snapshot {
	t.Helper()
	s, err := Open(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	return readWith(t, s, ns, q)
}

// gapsOf returns the gaps but for the one that every question for all states
// has before Linux 6.8.
func gapsOf(snap *source.Snapshot) whose.Gaps {
	if major, minor := kernelVersion(); major > 6 || major == 6 && minor >= 8 {
		return snap.Gaps
	}
	old := (&kernel{}).unlisted(asking(source.Query{}))[0]
	return slices.DeleteFunc(slices.Clone(snap.Gaps), old.Same)
}

// countsMPTCP reports whether this kernel counts MPTCP sockets, without which
// they have to be asked for everywhere.
func countsMPTCP(t testing.TB) bool {
	major, minor := testenv.Kernel(t)
	return major > 6 || major == 6 && minor >= 3
}

func readWith(t testing.TB, s *Source, ns *testenv.NetNS, q source.Query) *source.Snapshot {
	t.Helper()
	q = *asking(q)
	q.Visit = []source.NetNSRef{{Inode: ns.Inode(), Path: ns.Path()}}
	var snap source.Snapshot
	if err := s.Read(t.Context(), &q, &snap); err != nil {
		t.Fatal(err)
	}
	for _, g := range gapsOf(&snap) {
		t.Errorf("gap: %s", g)
	}
	if !slices.Equal(snap.NetNS, []uint32{ns.Inode()}) {
		t.Errorf("namespaces read: %d, want %d", snap.NetNS, ns.Inode())
	}
	return &snap
}

// sock is a socket that a test opened, by its system calls.
type sock struct {
	fd    int
	inode uint64
}

// opener opens sockets on the thread of a namespace; its errors end the test
// when it is done.
type opener struct {
	t    testing.TB
	errs []error
}

// in runs fn in the namespace with an opener.
func in(t testing.TB, ns *testenv.NetNS, fn func(o *opener)) {
	t.Helper()
	o := &opener{t: t}
	ns.Do(func() { fn(o) })
	for _, err := range o.errs {
		t.Error(err)
	}
	if len(o.errs) > 0 {
		t.FailNow()
	}
}

func (o *opener) check(what string, err error) {
	if err != nil {
		o.errs = append(o.errs, fmt.Errorf("%s: %w", what, err))
	}
}

func (o *opener) socket(family, typ, proto int) sock {
	fd, err := unix.Socket(family, typ|unix.SOCK_CLOEXEC, proto)
	o.check("socket", err)
	return o.keep(fd)
}

// keep closes fd when the test ends and finds its inode.
func (o *opener) keep(fd int) sock {
	if fd < 0 {
		return sock{fd: -1}
	}
	o.t.Cleanup(func() { unix.Close(fd) })
	var st unix.Stat_t
	o.check("fstat", unix.Fstat(fd, &st))
	return sock{fd, st.Ino}
}

func (o *opener) bind(s sock, addr string) netip.AddrPort {
	ap := netip.MustParseAddrPort(addr)
	o.check("bind "+addr, unix.Bind(s.fd, sockaddr(ap)))
	return o.name(s)
}

// name returns the local address of a socket.
func (o *opener) name(s sock) netip.AddrPort {
	sa, err := unix.Getsockname(s.fd)
	o.check("getsockname", err)
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
	}
	return netip.AddrPort{}
}

func (o *opener) connect(s sock, to netip.AddrPort) {
	o.check("connect "+to.String(), unix.Connect(s.fd, sockaddr(to)))
}

func (o *opener) listen(s sock, backlog int) { o.check("listen", unix.Listen(s.fd, backlog)) }

func (o *opener) accept(s sock) sock {
	fd, _, err := unix.Accept4(s.fd, unix.SOCK_CLOEXEC)
	o.check("accept", err)
	return o.keep(fd)
}

// await waits until the kernel has brought a TCP socket into a state.
func (o *opener) await(s sock, state whose.State) {
	for deadline := time.Now().Add(5 * time.Second); ; {
		info, err := unix.GetsockoptTCPInfo(s.fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err == nil && info.State == uint8(state) {
			return
		}
		if err != nil || time.Now().After(deadline) {
			o.check("wait for "+state.String(), errors.Join(err, os.ErrDeadlineExceeded))
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func sockaddr(ap netip.AddrPort) unix.Sockaddr {
	if ap.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(ap.Port()), Addr: ap.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(ap.Port()), Addr: ap.Addr().As16()}
}

// want is what a test says of a socket; what is zero is not compared but for
// the addresses, protocol, family and state.
type want struct {
	proto         whose.Proto
	family        whose.Family
	state         whose.State
	local, remote string
}

func describe(s *source.Socket) want {
	return want{s.Proto, s.Family, s.State, end(s.Local, s.LocalPort), end(s.Remote, s.RemotePort)}
}

func end(a [16]byte, port uint16) string {
	return netip.AddrPortFrom(netip.AddrFrom16(a), port).String()
}

// byInode returns the row of a socket, and fails unless there is exactly one.
func byInode(t testing.TB, snap *source.Snapshot, s sock) *source.Socket {
	t.Helper()
	var found *source.Socket
	for i := range snap.Sockets {
		if snap.Sockets[i].Inode == s.inode {
			if found != nil {
				t.Fatalf("inode %d stands twice: %+v and %+v", s.inode, *found, snap.Sockets[i])
			}
			found = &snap.Sockets[i]
		}
	}
	if found == nil {
		t.Fatalf("inode %d is not among %d sockets", s.inode, len(snap.Sockets))
	}
	return found
}

func expect(t testing.TB, snap *source.Snapshot, s sock, w want) *source.Socket {
	t.Helper()
	got := byInode(t, snap, s)
	if g := describe(got); g != w {
		t.Errorf("got %+v\nwant %+v", g, w)
	}
	if got.Cookie == 0 || got.NetNS != snap.NetNS[0] {
		t.Errorf("cookie %d, namespace %d: want one, and %d", got.Cookie, got.NetNS, snap.NetNS[0])
	}
	return got
}

func TestRead_Kinds(t *testing.T) {
	ns := testenv.NewNetNS(t)
	var l4, l6, l6only, c4, a4, cm, am, c6, a6, u4, u6, uc, ucm, lite, bound sock
	var p4, pm, p6 netip.AddrPort
	var ul4, ul6, ulc, ulite, pb netip.AddrPort
	in(t, ns, func(o *opener) {
		l4 = o.socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		o.bind(l4, "127.0.0.1:1001")
		o.listen(l4, 7)
		l6 = o.socket(unix.AF_INET6, unix.SOCK_STREAM, 0)
		o.bind(l6, "[::]:1002")
		o.listen(l6, 8)
		l6only = o.socket(unix.AF_INET6, unix.SOCK_STREAM, 0)
		o.check("v6only", unix.SetsockoptInt(l6only.fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1))
		o.bind(l6only, "[::1]:1003")
		o.listen(l6only, 9)
		c4 = o.socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		o.connect(c4, netip.MustParseAddrPort("127.0.0.1:1001"))
		p4, a4 = o.name(c4), o.accept(l4)
		cm = o.socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		o.connect(cm, netip.MustParseAddrPort("127.0.0.1:1002"))
		pm, am = o.name(cm), o.accept(l6)
		c6 = o.socket(unix.AF_INET6, unix.SOCK_STREAM, 0)
		o.connect(c6, netip.MustParseAddrPort("[::1]:1003"))
		p6, a6 = o.name(c6), o.accept(l6only)

		u4 = o.socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
		ul4 = o.bind(u4, "0.0.0.0:2001")
		u6 = o.socket(unix.AF_INET6, unix.SOCK_DGRAM, 0)
		o.check("v6only", unix.SetsockoptInt(u6.fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1))
		ul6 = o.bind(u6, "[::]:2002")
		uc = o.socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
		o.connect(uc, netip.MustParseAddrPort("127.0.0.1:2001"))
		ulc = o.name(uc)
		ucm = o.socket(unix.AF_INET6, unix.SOCK_DGRAM, 0)
		o.connect(ucm, netip.MustParseAddrPort("[::ffff:127.0.0.1]:2001"))
		lite = o.socket(unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_UDPLITE)
		ulite = o.bind(lite, "127.0.0.1:3001")
		bound = o.socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		pb = o.bind(bound, "127.0.0.1:0")
		o.socket(unix.AF_INET, unix.SOCK_STREAM, 0) // neither bound nor connected: no session
	})
	snap := read(t, ns, source.Query{})
	mapped := func(ap netip.AddrPort) string {
		return netip.AddrPortFrom(netip.AddrFrom16(ap.Addr().As16()), ap.Port()).String()
	}
	const none4, none6 = "[::ffff:0.0.0.0]:0", "[::]:0"
	row := expect(t, snap, l4, want{whose.TCP, whose.IPv4, whose.Listen, "[::ffff:127.0.0.1]:1001", none4})
	if row.SendQueue != 7 || row.RecvQueue != 0 || row.UID != uint32(os.Getuid()) || row.Flags != 0 {
		t.Errorf("listener: %+v", *row)
	}
	row = expect(t, snap, l6, want{whose.TCP, whose.IPv6, whose.Listen, "[::]:1002", none6})
	if row.V6Only || row.Flags != 0 {
		t.Errorf("flags of a dual-stack listener: %d", row.Flags)
	}
	row = expect(t, snap, l6only, want{whose.TCP, whose.IPv6, whose.Listen, "[::1]:1003", none6})
	if !row.V6Only || row.Flags != 0 {
		t.Errorf("an IPv6-only listener: v6only %v, flags %d", row.V6Only, row.Flags)
	}
	expect(t, snap, c4, want{whose.TCP, whose.IPv4, whose.Established, mapped(p4), "[::ffff:127.0.0.1]:1001"})
	expect(t, snap, a4, want{whose.TCP, whose.IPv4, whose.Established, "[::ffff:127.0.0.1]:1001", mapped(p4)})
	expect(t, snap, am, want{whose.TCP, whose.IPv6, whose.Established, "[::ffff:127.0.0.1]:1002", mapped(pm)})
	expect(t, snap, c6, want{whose.TCP, whose.IPv6, whose.Established, p6.String(), "[::1]:1003"})
	expect(t, snap, a6, want{whose.TCP, whose.IPv6, whose.Established, "[::1]:1003", p6.String()})
	expect(t, snap, u4, want{whose.UDP, whose.IPv4, whose.Unconn, mapped(ul4), none4})
	if row = expect(t, snap, u6, want{whose.UDP, whose.IPv6, whose.Unconn, ul6.String(), none6}); !row.V6Only || row.Flags != 0 {
		t.Errorf("flags of an IPv6-only UDP socket: %d", row.Flags)
	}
	expect(t, snap, uc, want{whose.UDP, whose.IPv4, whose.Established, mapped(ulc), "[::ffff:127.0.0.1]:2001"})
	if row = byInode(t, snap, ucm); row.Family != whose.IPv6 || end(row.Remote, row.RemotePort) != "[::ffff:127.0.0.1]:2001" {
		t.Errorf("mapped UDP: %+v", *row)
	}
	expect(t, snap, lite, want{whose.UDPLite, whose.IPv4, whose.Unconn, mapped(ulite), none4})
	n := 14
	if major, minor := testenv.Kernel(t); major > 6 || major == 6 && minor >= 8 {
		n++
		expect(t, snap, bound, want{whose.TCP, whose.IPv4, whose.Close, mapped(pb), none4})
	}
	if len(snap.Sockets) != n {
		t.Errorf("%d sockets, want %d", len(snap.Sockets), n)
	}
}

// TestRead_Exact asks for every protocol, family and state by itself: the
// answers are parts of the whole one, and together they are it.
func TestRead_Exact(t *testing.T) {
	ns := testenv.NewNetNS(t)
	in(t, ns, zoo)
	all := read(t, ns, source.Query{})
	if len(all.Sockets) < 12 {
		t.Fatalf("only %d sockets", len(all.Sockets))
	}
	s, err := Open(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for proto := whose.TCP; proto <= whose.MPTCP; proto++ {
		for _, family := range []whose.Family{whose.IPv4, whose.IPv6} {
			for state := whose.Established; state <= whose.Unconn; state++ {
				q := *asking(source.Query{Protos: whose.SetOf(proto), Families: whose.SetOf(family), States: whose.SetOf(state)})
				same(t, fmt.Sprint(proto, family, state), readWith(t, s, ns, q), all, func(s *source.Socket) bool {
					return s.Proto == proto && s.Family == family && s.State == state
				})
			}
		}
	}
	q := *asking(source.Query{States: whose.DefaultStates})
	same(t, "default states", readWith(t, s, ns, q), all, func(s *source.Socket) bool {
		return whose.DefaultStates.Has(s.State)
	})
}

// same fails unless got holds just those of all for which is holds.
func same(t *testing.T, what string, got, all *source.Snapshot, is func(*source.Socket) bool) {
	t.Helper()
	keys := func(snap *source.Snapshot, is func(*source.Socket) bool) []string {
		var keys []string
		for i := range snap.Sockets {
			if s := &snap.Sockets[i]; is(s) {
				keys = append(keys, fmt.Sprintf("%d %+v", s.Cookie, describe(s)))
			}
		}
		slices.Sort(keys)
		return keys
	}
	g, w := keys(got, func(*source.Socket) bool { return true }), keys(all, is)
	if !slices.Equal(g, w) {
		t.Errorf("%s:\ngot  %q\nwant %q", what, g, w)
	}
}

// zoo opens sockets of all kinds in most states.
func zoo(o *opener) {
	l4 := o.socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	o.bind(l4, "127.0.0.1:1001")
	o.listen(l4, 16)
	l6 := o.socket(unix.AF_INET6, unix.SOCK_STREAM, 0)
	o.bind(l6, "[::]:1002")
	o.listen(l6, 16)
	pair := func(family int, l sock, to string) (client, server sock) {
		client = o.socket(family, unix.SOCK_STREAM, 0)
		o.connect(client, netip.MustParseAddrPort(to))
		return client, o.accept(l)
	}
	pair(unix.AF_INET, l4, "127.0.0.1:1001")
	pair(unix.AF_INET6, l6, "[::1]:1002")
	pair(unix.AF_INET, l6, "127.0.0.1:1002")
	half, _ := pair(unix.AF_INET, l4, "127.0.0.1:1001") // FIN_WAIT2 and CLOSE_WAIT
	o.check("shutdown", unix.Shutdown(half.fd, unix.SHUT_WR))
	o.await(half, whose.FinWait2)
	c, s := pair(unix.AF_INET6, l6, "[::1]:1002") // TIME_WAIT
	o.check("shutdown", unix.Shutdown(c.fd, unix.SHUT_RDWR))
	o.check("shutdown", unix.Shutdown(s.fd, unix.SHUT_RDWR))
	o.await(s, whose.Close)
	for i, p := range []int{unix.IPPROTO_UDP, unix.IPPROTO_UDPLITE} {
		o.bind(o.socket(unix.AF_INET, unix.SOCK_DGRAM, p), fmt.Sprintf("127.0.0.1:%d", 2001+i))
		o.bind(o.socket(unix.AF_INET6, unix.SOCK_DGRAM, p), fmt.Sprintf("[::1]:%d", 2001+i))
		u := o.socket(unix.AF_INET, unix.SOCK_DGRAM, p)
		o.connect(u, netip.MustParseAddrPort("127.0.0.1:2001"))
	}
	o.bind(o.socket(unix.AF_INET, unix.SOCK_STREAM, 0), "127.0.0.1:4001")
	o.bind(o.socket(unix.AF_INET6, unix.SOCK_STREAM, 0), "[::1]:4001")
}

func TestRead_Queues(t *testing.T) {
	ns := testenv.NewNetNS(t)
	var l, c, a, u sock
	in(t, ns, func(o *opener) {
		l = o.socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		o.bind(l, "127.0.0.1:1001")
		o.listen(l, 5)
		c = o.socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		o.connect(c, netip.MustParseAddrPort("127.0.0.1:1001"))
		a = o.accept(l)
		for range 2 { // not accepted
			o.connect(o.socket(unix.AF_INET, unix.SOCK_STREAM, 0), netip.MustParseAddrPort("127.0.0.1:1001"))
		}
		_, err := unix.Write(c.fd, make([]byte, 1234))
		o.check("write", err)
		u = o.socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
		o.bind(u, "127.0.0.1:2001")
		o.check("sendto", unix.Sendto(u.fd, make([]byte, 100), 0, &unix.SockaddrInet4{Port: 2001, Addr: [4]byte{127, 0, 0, 1}}))
	})
	snap := read(t, ns, source.Query{Needs: whose.NeedTCPInfo})
	if s := byInode(t, snap, l); s.RecvQueue != 2 || s.SendQueue != 5 || s.TCPInfo != 0 {
		t.Errorf("backlog %d of %d, want 2 of 5; tcp info at %d, want none", s.RecvQueue, s.SendQueue, s.TCPInfo)
	}
	s := byInode(t, snap, a)
	if s.RecvQueue != 1234 || s.TCPInfo == 0 {
		t.Fatalf("receive queue %d, tcp info at %d: want 1234, and some", s.RecvQueue, s.TCPInfo)
	}
	if i := snap.TCPInfo[s.TCPInfo-1]; i.BytesReceived != 1234 || i.Cwnd == 0 || i.Cong == "" {
		t.Errorf("tcp info of the receiver: %+v", i)
	}
	if i := snap.TCPInfo[byInode(t, snap, c).TCPInfo-1]; i.BytesSent != 1234 || i.RTT == 0 || i.Retrans != 0 {
		t.Errorf("tcp info of the sender: %+v", i)
	}
	if s := byInode(t, snap, u); s.RecvQueue < 100 {
		t.Errorf("receive queue of UDP: %d, want at least 100", s.RecvQueue)
	}
	waiting := 0
	for _, s := range snap.Sockets {
		if s.Inode == 0 && s.State == whose.Established && s.LocalPort == 1001 {
			waiting++
		}
	}
	if waiting != 2 {
		t.Errorf("%d connections in the accept queue, want 2", waiting)
	}
	if snap = read(t, ns, source.Query{}); len(snap.TCPInfo) != 0 {
		t.Errorf("tcp info was read without need: %d", len(snap.TCPInfo))
	}
}

func TestRead_DeviceMarkCgroup(t *testing.T) {
	ns := testenv.NewNetNS(t)
	testenv.NeedCap(t, unix.CAP_NET_ADMIN)
	var l sock
	in(t, ns, func(o *opener) {
		l = o.socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		o.check("bind to device", unix.SetsockoptString(l.fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE, "lo"))
		o.check("mark", unix.SetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_MARK, 0x1234))
		o.bind(l, "127.0.0.1:1001")
		o.listen(l, 5)
	})
	snap := read(t, ns, source.Query{States: whose.DefaultStates})
	s := byInode(t, snap, l)
	if s.Mark != 0x1234 || s.Device == 0 {
		t.Errorf("mark %#x, device %d: want 0x1234 and one", s.Mark, s.Device)
	}
	if name := snap.Devices[source.Device{NetNS: ns.Inode(), Index: s.Device}]; name != "lo" {
		t.Errorf("device %d is %q, want lo; all: %v", s.Device, name, snap.Devices)
	}
	if s.Cgroup == 0 {
		t.Error("no cgroup")
	}
}

// TestRead_SynRecv makes a connection whose handshake does not end, since the
// listener wants data first. Then it closes first the client and then the
// listener, so that nothing that the kernel counts is left in the namespace.
func TestRead_SynRecv(t *testing.T) {
	ns := testenv.NewNetNS(t)
	var l, c sock
	var from netip.AddrPort
	in(t, ns, func(o *opener) {
		l = o.socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		o.check("defer accept", unix.SetsockoptInt(l.fd, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 60))
		o.bind(l, "127.0.0.1:1001")
		o.listen(l, 5)
		c = o.socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		o.connect(c, netip.MustParseAddrPort("127.0.0.1:1001"))
		from = o.name(c)
		// The listener hears no more, so that the end of the client is not noticed.
		drop := []unix.SockFilter{{Code: unix.BPF_RET}}
		o.check("filter", unix.SetsockoptSockFprog(l.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &drop[0]}))
		o.check("linger", unix.SetsockoptLinger(c.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
	})
	find := func(when string) {
		t.Helper()
		snap := read(t, ns, source.Query{States: whose.SetOf(whose.SynRecv)})
		if len(snap.Sockets) != 1 || snap.Sockets[0].State != whose.SynRecv || snap.Sockets[0].Inode != 0 ||
			snap.Sockets[0].RemotePort != from.Port() {
			t.Errorf("%s: %+v, want one to port %d", when, snap.Sockets, from.Port())
		}
	}
	find("with both ends open")
	shut(t, c)
	find("without the client")
	shut(t, l)
	find("without the listener")
}

// TestRead_OnlyTimeWait leaves nothing but a TIME_WAIT in a namespace.
func TestRead_OnlyTimeWait(t *testing.T) {
	ns := testenv.NewNetNS(t)
	var all []sock
	in(t, ns, func(o *opener) {
		l := o.socket(unix.AF_INET6, unix.SOCK_STREAM, 0)
		o.bind(l, "[::1]:80")
		o.listen(l, 1)
		c := o.socket(unix.AF_INET6, unix.SOCK_STREAM, 0)
		o.connect(c, netip.MustParseAddrPort("[::1]:80"))
		a := o.accept(l)
		o.check("shutdown", unix.Shutdown(c.fd, unix.SHUT_WR))
		o.await(c, whose.FinWait2)
		o.check("shutdown", unix.Shutdown(a.fd, unix.SHUT_WR))
		o.await(a, whose.Close)
		all = []sock{l, c, a}
	})
	for _, s := range all {
		shut(t, s)
	}
	snap := read(t, ns, source.Query{States: whose.SetOf(whose.TimeWait)})
	if len(snap.Sockets) != 1 || snap.Sockets[0].State != whose.TimeWait || snap.Sockets[0].Inode != 0 {
		t.Errorf("%+v, want one TIME_WAIT", snap.Sockets)
	}
	if snap = read(t, ns, source.Query{States: whose.DefaultStates}); len(snap.Sockets) != 0 {
		t.Errorf("default states: %+v, want none", snap.Sockets)
	}
}

// shut closes a socket before the test ends.
func shut(t testing.TB, s sock) {
	t.Helper()
	// In place of the socket stands something harmless, so that the cleanup
	// closes nobody else's descriptor.
	null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(null)
	if err := unix.Dup3(null, s.fd, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
}
