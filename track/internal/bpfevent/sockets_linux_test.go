package bpfevent

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// The sockets of the tests are opened by system calls alone: what the runtime
// does beside them is not what a test is about.

// must ends the test with an error of a system call.
func must(t testing.TB, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// A sock is a socket of a test, closed at its end.
type sock struct {
	t      testing.TB
	fd     int
	cookie uint64
}

func newSock(t testing.TB, fd int, err error) *sock {
	t.Helper()
	must(t, "open socket", err)
	s := &sock{t: t, fd: fd}
	s.cookie, err = unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
	must(t, "read cookie", err)
	t.Cleanup(s.close)
	return s
}

func (s *sock) close() {
	if s.fd >= 0 {
		unix.Close(s.fd)
	}
	s.fd = -1
}

// open opens a socket of the family of addr.
func open(t testing.TB, typ int, addr netip.AddrPort) *sock {
	t.Helper()
	family := unix.AF_INET
	if addr.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, typ|unix.SOCK_CLOEXEC, 0)
	return newSock(t, fd, err)
}

// protoOf returns the protocol of a stream in the model.
func protoOf(proto int) whose.Proto {
	if proto == unix.IPPROTO_MPTCP {
		return whose.MPTCP
	}
	return whose.TCP
}

// openStream opens a socket of a protocol that may be MPTCP, which a kernel may
// be built without.
func openStream(t testing.TB, addr netip.AddrPort, proto int) *sock {
	t.Helper()
	family := unix.AF_INET
	if addr.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, proto)
	if proto == unix.IPPROTO_MPTCP && (errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.ENOPROTOOPT)) {
		testenv.Lacks(t, "MPTCP", err.Error())
	}
	return newSock(t, fd, err)
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
	}
	return &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}
}

func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
	}
	return netip.AddrPort{}
}

func (s *sock) name() netip.AddrPort {
	sa, err := unix.Getsockname(s.fd)
	must(s.t, "getsockname", err)
	return addrPort(sa)
}

func (s *sock) bind(addr netip.AddrPort) { must(s.t, "bind", unix.Bind(s.fd, sockaddr(addr))) }

func (s *sock) send(n int) {
	got, err := unix.Write(s.fd, make([]byte, n))
	must(s.t, "write", err)
	if got != n {
		s.t.Fatalf("write: %d bytes of %d", got, n)
	}
}

// receive reads until n bytes came.
func (s *sock) receive(n int) {
	b := make([]byte, 65536)
	for n > 0 {
		got, err := unix.Read(s.fd, b)
		must(s.t, "read", err)
		if got == 0 {
			s.t.Fatalf("read: end with %d bytes to come", n)
		}
		n -= got
	}
}

// acknowledged waits until the other end's kernel has what was sent.
func (s *sock) acknowledged() {
	s.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		left, err := unix.IoctlGetInt(s.fd, unix.SIOCOUTQ)
		must(s.t, "ask for unacknowledged bytes", err)
		if left == 0 {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%d bytes are not acknowledged", left)
		}
	}
}

// readEnd reads until the other end has closed.
func (s *sock) readEnd() {
	b := make([]byte, 65536)
	for {
		n, err := unix.Read(s.fd, b)
		must(s.t, "read", err)
		if n == 0 {
			return
		}
	}
}

// linger0 makes close send a reset.
func (s *sock) linger0() {
	must(s.t, "set linger", unix.SetsockoptLinger(s.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
}

func listen(t testing.TB, addr netip.AddrPort) *sock {
	t.Helper()
	return listenAs(t, addr, 0)
}

func listenAs(t testing.TB, addr netip.AddrPort, proto int) *sock {
	t.Helper()
	s := openStream(t, addr, proto)
	s.bind(addr)
	must(t, "listen", unix.Listen(s.fd, 16))
	return s
}

// accept accepts, with the peer's address or without.
func (s *sock) accept(named bool) *sock {
	s.t.Helper()
	if named {
		fd, _, err := unix.Accept4(s.fd, unix.SOCK_CLOEXEC)
		return newSock(s.t, fd, err)
	}
	fd, _, errno := unix.Syscall6(unix.SYS_ACCEPT4, uintptr(s.fd), 0, 0, unix.SOCK_CLOEXEC, 0, 0)
	if errno != 0 {
		must(s.t, "accept", errno)
	}
	return newSock(s.t, int(fd), nil)
}

func connect(t testing.TB, addr netip.AddrPort) *sock {
	t.Helper()
	return connectAs(t, addr, 0)
}

func connectAs(t testing.TB, addr netip.AddrPort, proto int) *sock {
	t.Helper()
	s := openStream(t, addr, proto)
	must(t, "connect", unix.Connect(s.fd, sockaddr(addr)))
	return s
}

// boot returns the boot clock.
func boot(t testing.TB) uint64 {
	var ts unix.Timespec
	must(t, "read clock", unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts))
	return uint64(ts.Nano())
}
