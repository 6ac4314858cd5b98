package sockdiag

import (
	"fmt"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/netlink"
	"github.com/seed-44df2ae6/whose/internal/source"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// crowd opens a listener and n connections to it, both ends.
func crowd(o *opener, n int) {
	l := o.socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	o.bind(l, "127.0.0.1:80")
	o.listen(l, 128)
	for range n {
		o.connect(o.socket(unix.AF_INET, unix.SOCK_STREAM, 0), netip.MustParseAddrPort("127.0.0.1:80"))
		o.accept(l)
		if len(o.errs) > 0 {
			return
		}
	}
}

// TestRead_Crowd: of 10,001 sockets each stands once, pass after pass, and no
// pass allocates for them.
func TestRead_Crowd(t *testing.T) {
	const connections = 5000
	ns := testenv.NewNetNS(t)
	in(t, ns, func(o *opener) { crowd(o, connections) })
	s := open(t, Options{})
	q := *asking(source.Query{Visit: visit(ns), Needs: whose.NeedTCPInfo})
	var snap source.Snapshot
	pass := func() {
		snap.Reset()
		if err := s.Read(t.Context(), &q, &snap); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		pass()
		inodes := map[uint64]bool{}
		for i := range snap.Sockets {
			inodes[snap.Sockets[i].Inode] = true
		}
		if len(snap.Sockets) != 2*connections+1 || len(inodes) != 2*connections+1 || len(snap.TCPInfo) != 2*connections {
			t.Fatalf("%d sockets, %d inodes, %d tcp infos", len(snap.Sockets), len(inodes), len(snap.TCPInfo))
		}
	}
	if n := testing.AllocsPerRun(10, pass); n > 100 {
		t.Errorf("%v allocations a pass of %d sockets, want a few", n, len(snap.Sockets))
	}
}

// TestRead_TwoFormsAgree lists with one walk for both families and with one
// for each.
func TestRead_TwoFormsAgree(t *testing.T) {
	ns := testenv.NewNetNS(t)
	in(t, ns, zoo)
	one, two := open(t, Options{}), open(t, Options{})
	two.kernel.oneFamily.Store(true)
	for _, states := range []whose.Set[whose.State]{0, whose.DefaultStates} {
		q := *asking(source.Query{States: states, Needs: whose.NeedTCPInfo})
		a, b := readWith(t, one, ns, q), readWith(t, two, ns, q)
		same(t, "one form", a, b, func(*source.Socket) bool { return true })
		if len(a.TCPInfo) != len(b.TCPInfo) || len(a.TCPInfo) == 0 {
			t.Errorf("%d and %d tcp infos", len(a.TCPInfo), len(b.TCPInfo))
		}
		if asked(one) >= asked(two) {
			t.Errorf("%d dumps in one form, %d in the other", asked(one), asked(two))
		}
	}
}

// TestRead_SplitAgrees lists with one walk and with two halves at once, of
// connections whose ends fall on both sides of every border.
func TestRead_SplitAgrees(t *testing.T) {
	ns := testenv.NewNetNS(t)
	in(t, ns, zoo)
	in(t, ns, func(o *opener) {
		for i, to := range []uint16{1, 8080, firstClient - 1, firstClient, middle - 1, middle, lastPort} {
			l := o.socket(unix.AF_INET, unix.SOCK_STREAM, 0)
			server := o.bind(l, fmt.Sprintf("127.0.1.%d:%d", i, to))
			o.listen(l, 16)
			for j, from := range []uint16{2, 9090, firstClient - 1, firstClient, middle - 1, middle, lastPort} {
				c := o.socket(unix.AF_INET, unix.SOCK_STREAM, 0)
				o.bind(c, fmt.Sprintf("127.0.%d.%d:%d", 2+i, j, from))
				o.connect(c, server)
				o.accept(l)
			}
		}
	})
	whole, split := open(t, Options{}), open(t, Options{})
	split.splitFrom, split.kernel.dumpsAtOnce = 1, true
	if split.threads() < 2 {
		testenv.Missing(t, "two processors", "GOMAXPROCS is 1")
	}
	states := whose.DefaultStates
	q := *asking(source.Query{States: states, Needs: whose.NeedTCPInfo})
	for range 3 {
		a, b := readWith(t, split, ns, q), readWith(t, whole, ns, q)
		same(t, "split", a, b, func(*source.Socket) bool { return true })
		if len(a.Sockets) != len(b.Sockets) || len(a.TCPInfo) != len(b.TCPInfo) || len(a.Sockets) < 100 {
			t.Errorf("%d and %d sockets, %d and %d tcp infos", len(a.Sockets), len(b.Sockets), len(a.TCPInfo), len(b.TCPInfo))
		}
		if len(split.jobs) != len(whole.jobs)+1 {
			t.Errorf("%d jobs split, %d not", len(split.jobs), len(whole.jobs))
		}
	}
}

func TestRead_MPTCP(t *testing.T) {
	ns := testenv.NewNetNS(t)
	var l, c, a sock
	var from netip.AddrPort
	missing := false
	in(t, ns, func(o *opener) {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, netlink.ProtoMPTCP)
		if err != nil {
			missing = true
			return
		}
		l = o.keep(fd)
		o.bind(l, "127.0.0.1:80")
		o.listen(l, 5)
		connect := func() sock {
			c := o.socket(unix.AF_INET, unix.SOCK_STREAM, netlink.ProtoMPTCP)
			o.connect(c, netip.MustParseAddrPort("127.0.0.1:80"))
			return c
		}
		c = connect()
		from, a = o.name(c), o.accept(l)
		// Data shows both ends that the other understands MPTCP.
		_, err = unix.Write(c.fd, []byte("x"))
		o.check("write", err)
		_, err = unix.Read(a.fd, make([]byte, 1))
		o.check("read", err)
		_, err = unix.Write(a.fd, []byte("x"))
		o.check("write", err)
		connect() // not accepted
		tcp := o.socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		o.bind(tcp, "127.0.0.1:81")
		o.listen(tcp, 5)
	})
	if missing {
		testenv.Missing(t, "MPTCP", "the kernel has none or net.mptcp.enabled is 0")
	}
	snap := read(t, ns, source.Query{})
	remote := fmt.Sprintf("[::ffff:127.0.0.1]:%d", from.Port())
	row := expect(t, snap, l, want{whose.MPTCP, whose.IPv4, whose.Listen, "[::ffff:127.0.0.1]:80", "[::ffff:0.0.0.0]:0"})
	if row.RecvQueue != 1 || row.SendQueue != 5 {
		t.Errorf("backlog %d of %d, want 1 of 5", row.RecvQueue, row.SendQueue)
	}
	expect(t, snap, c, want{whose.MPTCP, whose.IPv4, whose.Established, remote, "[::ffff:127.0.0.1]:80"})
	expect(t, snap, a, want{whose.MPTCP, whose.IPv4, whose.Established, "[::ffff:127.0.0.1]:80", remote})
	count := func(q source.Query) map[whose.Proto]int {
		n := map[whose.Proto]int{}
		for _, s := range read(t, ns, q).Sockets {
			n[s.Proto]++
		}
		return n
	}
	for _, c := range []struct {
		q          source.Query
		tcp, mptcp int
	}{
		{source.Query{}, 1, 5},
		{source.Query{Protos: whose.SetOf(whose.TCP)}, 1, 0},
		{source.Query{Protos: whose.SetOf(whose.MPTCP)}, 0, 5},
		{source.Query{States: whose.SetOf(whose.Listen)}, 1, 1},
		{source.Query{Families: whose.SetOf(whose.IPv6)}, 0, 0},
	} {
		if n := count(c.q); n[whose.TCP] != c.tcp || n[whose.MPTCP] != c.mptcp {
			t.Errorf("%+v: %v, want tcp %d, mptcp %d", c.q, n, c.tcp, c.mptcp)
			for _, s := range read(t, ns, c.q).Sockets {
				t.Logf("%d %+v", s.Inode, describe(&s))
			}
		}
	}
}

func BenchmarkRead(b *testing.B) {
	for _, n := range []int{0, 500, 5000} {
		b.Run(fmt.Sprintf("%d", 2*n+1), func(b *testing.B) {
			ns := testenv.NewNetNS(b)
			in(b, ns, func(o *opener) { crowd(o, n) })
			s := open(b, Options{})
			q := *asking(source.Query{Visit: visit(ns), States: whose.DefaultStates})
			var snap source.Snapshot
			b.ReportAllocs()
			for b.Loop() {
				snap.Reset()
				if err := s.Read(b.Context(), &q, &snap); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(snap.Sockets)), "ns/socket")
		})
	}
}

// TestRead_MPTCPSharedCookie: a listener that somebody asked for its cookie
// hands it on to what it accepts. All of them are sessions, each once.
func TestRead_MPTCPSharedCookie(t *testing.T) {
	ns := testenv.NewNetNS(t)
	var opened []sock
	missing := false
	in(t, ns, func(o *opener) {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, netlink.ProtoMPTCP)
		if missing = err != nil; missing {
			return
		}
		l := o.keep(fd)
		o.bind(l, "127.0.0.1:80")
		o.listen(l, 5)
		_, err = unix.GetsockoptUint64(l.fd, unix.SOL_SOCKET, unix.SO_COOKIE)
		o.check("ask for cookie", err)
		opened = append(opened, l)
		for range 3 {
			c := o.socket(unix.AF_INET, unix.SOCK_STREAM, netlink.ProtoMPTCP)
			o.connect(c, netip.MustParseAddrPort("127.0.0.1:80"))
			opened = append(opened, c, o.accept(l))
		}
	})
	if missing {
		testenv.Lacks(t, "MPTCP", "no socket of it can be made")
	}
	snap := read(t, ns, source.Query{States: whose.DefaultStates})
	for _, s := range opened {
		if got := byInode(t, snap, s); got.Proto != whose.MPTCP {
			t.Errorf("socket %d is %v, want mptcp", s.inode, got.Proto)
		}
	}
	if len(snap.Sockets) != len(opened) {
		t.Errorf("%d sockets, want %d", len(snap.Sockets), len(opened))
	}
}
