package bpfevent

import (
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// ip runs the command ip in the namespace of the thread.
func ip(t *testing.T, args string) {
	t.Helper()
	if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
		t.Errorf("ip %s: %v: %s", args, err, out)
	}
}

// deaf returns the address of a listener that answers nobody: its queue is full.
func deaf(t *testing.T, addr netip.AddrPort) netip.AddrPort {
	t.Helper()
	l := open(t, unix.SOCK_STREAM, addr)
	l.bind(addr)
	must(t, "listen", unix.Listen(l.fd, 0))
	connect(t, l.name())
	return l.name()
}

// failed connects in a namespace, which has to fail, and returns what is told of
// that, and the times between which it was.
func failed(t *testing.T, w *watch, ns *testenv.NetNS, to netip.AddrPort, proto int, want unix.Errno) (r Record, before, after uint64) {
	t.Helper()
	const tries = 5
	for range tries {
		var s *sock
		var err error
		before = boot(t)
		ns.Do(func() {
			s = openStream(t, to, proto)
			if proto == 0 {
				must(t, "set retries", unix.SetsockoptInt(s.fd, unix.IPPROTO_TCP, unix.TCP_SYNCNT, 1))
				must(t, "set timeout", unix.SetsockoptInt(s.fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 200))
			}
			err = unix.Connect(s.fd, sockaddr(to))
		})
		after = boot(t)
		if !errors.Is(err, want) {
			t.Fatalf("connect: %v, want %v", err, want)
		}
		s.close()
		if r, told := w.oneUnlessLost("fail", of(TCPFail, s.cookie)); told {
			return r, before, after
		}
	}
	t.Fatalf("%d connects that failed were all told as lost", tries)
	return
}

// TestTCP_Fail and TestMPTCP_Fail have connects fail in each way there is.
func TestTCP_Fail(t *testing.T)   { testFail(t, 0) }
func TestMPTCP_Fail(t *testing.T) { testFail(t, unix.IPPROTO_MPTCP) }

func testFail(t *testing.T, proto int) {
	testenv.NeedProgram(t, "ip")
	ns := testenv.NewNetNS(t)
	w := newWatch(t, inNetNS(ns))
	var silent, silent6 string
	ns.Do(func() {
		silent, silent6 = deaf(t, loopbacks["IPv4"]).String(), deaf(t, loopbacks["IPv6"]).String()
		ip(t, "route add unreachable 10.8.0.0/24")
		ip(t, "route add prohibit 10.7.0.0/24")
		ip(t, "-6 route add unreachable fd08::/64")
		must(t, "set retries", os.WriteFile("/proc/sys/net/ipv4/tcp_syn_retries", []byte("1"), 0))
		openStream(t, loopbacks["IPv4"], proto)
	})
	for _, c := range []struct {
		name, to string
		err      unix.Errno
		state    whose.State
	}{
		{"refused", "127.0.0.1:1", unix.ECONNREFUSED, whose.SynSent},
		{"refused, IPv6", "[::1]:1", unix.ECONNREFUSED, whose.SynSent},
		{"refused, mapped", "[::ffff:127.0.0.1]:1", unix.ECONNREFUSED, whose.SynSent},
		{"timed out", silent, unix.ETIMEDOUT, whose.SynSent},
		{"timed out, IPv6", silent6, unix.ETIMEDOUT, whose.SynSent},
		{"no route", "192.0.2.1:80", unix.ENETUNREACH, 0},
		{"no route, IPv6", "[2001:db8::1]:80", unix.ENETUNREACH, 0},
		{"unreachable", "10.8.0.1:80", unix.EHOSTUNREACH, 0},
		{"unreachable, IPv6", "[fd08::1]:80", unix.EHOSTUNREACH, 0},
		{"prohibited", "10.7.0.1:80", unix.EACCES, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			to := netip.MustParseAddrPort(c.to)
			r, before, after := failed(t, w, ns, to, proto, c.err)
			checkSelf(t, &r)
			if proto != 0 { // the state of a session is set before that of its subflow
				c.state = whose.SynSent
			}
			if unix.Errno(r.Err) != c.err || r.Proto != uint8(protoOf(proto)) || whose.State(r.OldState) != c.state || !r.Out || remote(&r) != unmap(to) || r.NetNS != ns.Inode() {
				t.Errorf("fail: %v from state %v to %v in %d; want %v from %v to %v", unix.Errno(r.Err), whose.State(r.OldState), remote(&r), r.NetNS, c.err, c.state, to)
			}
			if r.Opened < before || r.Time < r.Opened || r.Time > after {
				t.Errorf("failed at %d, begun at %d; want between %d and %d", r.Time, r.Opened, before, after)
			}
		})
	}
}

// TestTCP_Abort gives up a connect that is under way.
func TestTCP_Abort(t *testing.T) {
	ns := testenv.NewNetNS(t)
	w := newWatch(t, inNetNS(ns))
	var to netip.AddrPort
	var s *sock
	ns.Do(func() {
		to = deaf(t, loopbacks["IPv4"])
		s = open(t, unix.SOCK_STREAM, to)
	})
	must(t, "set nonblock", unix.SetNonblock(s.fd, true))
	if err := unix.Connect(s.fd, sockaddr(to)); !errors.Is(err, unix.EINPROGRESS) {
		t.Fatalf("connect: %v", err)
	}
	// Longer than a connect that is refused at once may take to be told of.
	time.Sleep(400 * time.Millisecond)
	if told := w.all(func(r *Record) bool { return r.Cookie == s.cookie }); len(told) > 0 {
		t.Errorf("told while under way: %+v", told)
	}
	s.close()
	r := w.one("fail", of(TCPFail, s.cookie))
	checkSelf(t, &r)
	if r.Err != 0 || whose.State(r.OldState) != whose.SynSent || !r.Out || remote(&r) != to || r.Time-r.Opened < 400e6 {
		t.Errorf("fail: %+v", r)
	}
}

// TestTCP_NoPort connects where no port is left.
func TestTCP_NoPort(t *testing.T) {
	testenv.NeedKernel(t, 6, 3, "IP_LOCAL_PORT_RANGE")
	ns := testenv.NewNetNS(t)
	w := newWatch(t, inNetNS(ns))
	var l, first, s *sock
	var err error
	ns.Do(func() {
		l = listen(t, loopbacks["IPv4"])
		first = connect(t, l.name())
		s = open(t, unix.SOCK_STREAM, l.name())
		for _, c := range []*sock{s} {
			must(t, "set reuse", unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
			must(t, "bind late", unix.SetsockoptInt(c.fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1))
		}
		must(t, "set range", unix.SetsockoptInt(s.fd, unix.IPPROTO_IP, ipLocalPortRange, int(first.name().Port())<<16|int(first.name().Port())))
		err = unix.Connect(s.fd, sockaddr(l.name()))
	})
	if !errors.Is(err, unix.EADDRNOTAVAIL) {
		t.Fatalf("connect: %v", err)
	}
	r := w.one("fail", of(TCPFail, s.cookie))
	if unix.Errno(r.Err) != unix.EADDRNOTAVAIL || r.RemotePort != l.name().Port() {
		t.Errorf("fail: %v to %v", unix.Errno(r.Err), remote(&r))
	}
}

// ipLocalPortRange is IP_LOCAL_PORT_RANGE, Linux 6.3.
const ipLocalPortRange = 51

// TestTCP_Again connects one socket again and again.
func TestTCP_Again(t *testing.T) {
	ns := testenv.NewNetNS(t)
	w := newWatch(t, inNetNS(ns))
	var s *sock
	ns.Do(func() {
		s = open(t, unix.SOCK_STREAM, loopbacks["IPv4"])
		for _, to := range []string{"192.0.2.1:1", "192.0.2.1:2", "127.0.0.1:3"} {
			if err := unix.Connect(s.fd, sockaddr(netip.MustParseAddrPort(to))); err == nil {
				t.Errorf("connect to %s", to)
			}
		}
	})
	for i, r := range w.want(3, "fail", of(TCPFail, s.cookie)) {
		want := []unix.Errno{unix.ENETUNREACH, unix.ENETUNREACH, unix.ECONNREFUSED}[i]
		if int(r.RemotePort) != i+1 || unix.Errno(r.Err) != want {
			t.Errorf("fail %d: to %v: %v, want %v", i, remote(&r), unix.Errno(r.Err), want)
		}
	}
}

// TestTCP_Refused has the connects of a socket fail at once, one after the
// other and then without another: each is told, and once.
func TestTCP_Refused(t *testing.T) {
	ns := testenv.NewNetNS(t)
	w := newWatch(t, inNetNS(ns))
	var s *sock
	to := []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("192.0.2.1:2"), netip.MustParseAddrPort("192.0.2.1:3")}
	ns.Do(func() {
		s = open(t, unix.SOCK_STREAM, to[0])
		for _, a := range to {
			if err := unix.Connect(s.fd, sockaddr(a)); !errors.Is(err, unix.ENETUNREACH) {
				t.Errorf("connect: %v, want %v", err, unix.ENETUNREACH)
			}
		}
	})
	defer s.close()
	for i, r := range w.want(len(to), "fails", of(TCPFail, s.cookie)) {
		checkSelf(t, &r)
		if remote(&r) != to[i] || unix.Errno(r.Err) != unix.ENETUNREACH || r.OldState != 0 {
			t.Errorf("fail %d: to %v, %v, from state %d", i, remote(&r), unix.Errno(r.Err), r.OldState)
		}
	}
}

// TestTCP_Crowd has more connections begin at a time than the hot part of the
// notes takes: none is told with another's owner, or not at all.
func TestTCP_Crowd(t *testing.T) {
	const crowd = 3000
	ns := testenv.NewNetNS(t)
	c := inNetNS(ns)
	c.FlushEvery = time.Second // the notes are there at the same time
	w := newWatch(t, c)
	var socks []*sock
	ns.Do(func() {
		to := deaf(t, loopbacks["IPv4"])
		for range crowd {
			s := open(t, unix.SOCK_STREAM, to)
			must(t, "set nonblock", unix.SetNonblock(s.fd, true))
			if err := unix.Connect(s.fd, sockaddr(to)); !errors.Is(err, unix.EINPROGRESS) {
				t.Fatalf("connect: %v", err)
			}
			socks = append(socks, s)
		}
	})
	for _, s := range socks {
		s.close()
	}
	seen := make(map[uint64]int)
	for _, r := range w.want(crowd, "fails", func(r *Record) bool { return r.Kind == TCPFail }) {
		checkSelf(t, &r)
		seen[r.Cookie]++
	}
	for _, s := range socks {
		if seen[s.cookie] != 1 {
			t.Errorf("%d fails of socket %d", seen[s.cookie], s.cookie)
		}
	}
}

// TestTCP_Listen has a socket listen for long, one for a moment, and one fail to.
func TestTCP_Listen(t *testing.T) {
	ns := testenv.NewNetNS(t)
	w := newWatch(t, inNetNS(ns))
	for family, addr := range loopbacks {
		t.Run(family, func(t *testing.T) {
			for _, d := range []time.Duration{0, 100 * time.Millisecond} {
				var l *sock
				ns.Do(func() { l = listen(t, addr) })
				at := l.name()
				time.Sleep(d)
				l.close()
				on, off := w.one("listen", of(TCPListen, l.cookie)), w.one("unlisten", of(TCPUnlisten, l.cookie))
				checkSelf(t, &on)
				if local(&on) != unmap(at) || local(&off) != unmap(at) || on.Backlog != 16 || on.NetNS != ns.Inode() || on.Time >= off.Time {
					t.Errorf("after %v: %+v, %+v, want %v", d, on, off, at)
				}
			}
		})
	}
	t.Run("fails", func(t *testing.T) {
		var l, again *sock
		var err error
		ns.Do(func() {
			// Two may have an address, but one alone may listen at it.
			l, again = open(t, unix.SOCK_STREAM, loopbacks["IPv4"]), open(t, unix.SOCK_STREAM, loopbacks["IPv4"])
			for _, s := range []*sock{l, again} {
				must(t, "set reuse", unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
			}
			l.bind(loopbacks["IPv4"])
			again.bind(l.name())
			must(t, "listen", unix.Listen(l.fd, 1))
			err = unix.Listen(again.fd, 1)
		})
		if !errors.Is(err, unix.EADDRINUSE) {
			t.Fatalf("listen: %v", err)
		}
		again.close()
		l.close()
		w.one("unlisten", of(TCPUnlisten, l.cookie))
		if told := w.all(func(r *Record) bool { return r.Cookie == again.cookie }); len(told) > 0 {
			t.Errorf("told of a socket that never listened: %+v", told)
		}
	})
	t.Run("without bind", func(t *testing.T) {
		var l *sock
		ns.Do(func() {
			l = open(t, unix.SOCK_STREAM, loopbacks["IPv4"])
			must(t, "listen", unix.Listen(l.fd, 1))
		})
		if r := w.one("listen", of(TCPListen, l.cookie)); r.LocalPort != l.name().Port() {
			t.Errorf("listens at %v, want %v", local(&r), l.name())
		}
	})
}

// TestFail_GivenUp: a connect that its process gives up has no error, whether its
// SYN was put off (TCP_FASTOPEN_CONNECT) or has no answer yet.
func TestFail_GivenUp(t *testing.T) {
	ns := testenv.NewNetNS(t)
	w := newWatch(t, inNetNS(ns))
	var at netip.AddrPort
	ns.Do(func() {
		// Clients, without a cookie.
		if err := os.WriteFile("/proc/sys/net/ipv4/tcp_fastopen", []byte("5"), 0); err != nil {
			t.Error(err)
		}
		at = deaf(t, loopbacks["IPv4"])
	})
	puts, waits := map[bool]string{true: "put off", false: "sent"}, map[bool]string{true: "disconnect", false: "close"}
	for _, off := range []bool{true, false} {
		for _, disconnect := range []bool{true, false} {
			t.Run(puts[off]+"/"+waits[disconnect], func(t *testing.T) {
				var s *sock
				ns.Do(func() {
					fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
					s = newSock(t, fd, err)
				})
				if off {
					must(t, "set TCP_FASTOPEN_CONNECT", unix.SetsockoptInt(s.fd, unix.SOL_TCP, unix.TCP_FASTOPEN_CONNECT, 1))
				}
				if err := unix.Connect(s.fd, sockaddr(at)); off != (err == nil) {
					t.Fatalf("connect: %v", err)
				}
				if disconnect {
					_, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(s.fd), uintptr(unsafe.Pointer(&unix.RawSockaddr{})), unix.SizeofSockaddrInet4)
					if errno != 0 {
						t.Fatalf("disconnect: %v", errno)
					}
				} else {
					s.close()
				}
				r := w.one("fail", of(TCPFail, s.cookie))
				if r.Err != 0 || r.OldState != uint8(whose.SynSent) || remote(&r) != at {
					t.Errorf("error %d, from %v, to %v; want none, from %v, to %v", r.Err, whose.State(r.OldState), remote(&r), whose.SynSent, at)
				}
				checkSelf(t, &r)
			})
		}
	}
}

// TestFail_NoPortLeft: what connect fails with as it finds no port is its error.
func TestFail_NoPortLeft(t *testing.T) {
	ns := testenv.NewNetNS(t)
	w := newWatch(t, inNetNS(ns))
	var first, second *sock
	ns.Do(func() {
		l := listen(t, loopbacks["IPv4"])
		if err := os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte("40000 40000"), 0); err != nil {
			t.Error(err)
		}
		first = connect(t, l.name())
		second = open(t, unix.SOCK_STREAM, l.name())
		if err := unix.Connect(second.fd, sockaddr(l.name())); !errors.Is(err, unix.EADDRNOTAVAIL) {
			t.Errorf("connect: %v", err)
		}
	})
	_ = first
	r := w.one("fail", of(TCPFail, second.cookie))
	if r.Err != uint32(unix.EADDRNOTAVAIL) {
		t.Errorf("error %d, want %d", r.Err, unix.EADDRNOTAVAIL)
	}
}
