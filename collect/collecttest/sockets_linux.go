// Sockets by system calls, without Go's network package: only a case sets
// options on them.

package collecttest

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
)

// Protocols without a name in x/sys/unix for socket calls.
const protoMPTCP = 262

// sockaddr turns an address into the form of the system calls. A zone is the
// number of a device.
func sockaddr(family int, ap netip.AddrPort) unix.Sockaddr {
	if family == unix.AF_INET {
		return &unix.SockaddrInet4{Port: int(ap.Port()), Addr: ap.Addr().As4()}
	}
	sa := &unix.SockaddrInet6{Port: int(ap.Port()), Addr: ap.Addr().As16()}
	if zone := ap.Addr().Zone(); zone != "" {
		fmt.Sscan(zone, &sa.ZoneId)
	}
	return sa
}

func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port))
	}
	return netip.AddrPort{}
}

func familyOf(ap netip.AddrPort) int {
	if ap.Addr().Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// A setOpt sets something on a new socket before it is bound.
type setOpt func(fd int) error

func intOpt(level, name, value int) setOpt {
	return func(fd int) error { return unix.SetsockoptInt(fd, level, name, value) }
}

// socket opens a socket.
func (st *Stage) socket(family, kind, proto int, opts ...setOpt) int {
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, proto)
	st.check(err, fmt.Sprintf("socket %d %d %d", family, kind, proto))
	for _, o := range opts {
		st.check(o(fd), "set socket option")
	}
	return fd
}

// bound opens a socket of the kind and protocol, bound to the address.
func (st *Stage) bound(addr string, kind, proto int, opts ...setOpt) int {
	ap := netip.MustParseAddrPort(addr)
	fd := st.socket(familyOf(ap), kind, proto, opts...)
	st.check(unix.Bind(fd, sockaddr(familyOf(ap), ap)), "bind "+addr)
	return fd
}

// listen opens a TCP listener.
func (st *Stage) listen(addr string, backlog int, opts ...setOpt) int {
	fd := st.bound(addr, unix.SOCK_STREAM, unix.IPPROTO_TCP, opts...)
	st.check(unix.Listen(fd, backlog), "listen on "+addr)
	return fd
}

// connect opens a socket of the protocol, connected to the address.
func (st *Stage) connect(to netip.AddrPort, kind, proto int, opts ...setOpt) int {
	fd := st.socket(familyOf(to), kind, proto, opts...)
	st.check(unix.Connect(fd, sockaddr(familyOf(to), to)), "connect to "+to.String())
	return fd
}

func (st *Stage) accept(l int) int {
	fd, _, err := unix.Accept4(l, unix.SOCK_CLOEXEC)
	st.check(err, "accept")
	return fd
}

func (st *Stage) close(fd int) { st.check(unix.Close(fd), "close") }

func (st *Stage) local(fd int) netip.AddrPort {
	sa, err := unix.Getsockname(fd)
	st.check(err, "getsockname")
	return addrPort(sa)
}

// remote returns the other end, and for a socket without one the unspecified
// address of its family.
func (st *Stage) remote(fd int) netip.AddrPort {
	sa, err := unix.Getpeername(fd)
	if err == nil {
		return addrPort(sa)
	}
	if st.intOf(fd, unix.SOL_SOCKET, unix.SO_DOMAIN) == unix.AF_INET {
		return netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.AddrPortFrom(netip.IPv6Unspecified(), 0)
}

func (st *Stage) intOf(fd, level, name int) int {
	n, err := unix.GetsockoptInt(fd, level, name)
	st.check(err, fmt.Sprintf("getsockopt %d %d", level, name))
	return n
}

func inodeOf(fd int) (uint64, error) {
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return 0, err
	}
	return stat.Ino, nil
}

// session describes an open socket by the socket calls: this process owns it by
// this descriptor.
func (st *Stage) session(fd int, state whose.State) whose.Session {
	inode, err := inodeOf(fd)
	st.check(err, "fstat")
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
	st.check(err, "getsockopt SO_COOKIE")
	s := whose.Session{
		Local: st.local(fd), Remote: st.remote(fd), State: state,
		Inode: inode, Cookie: cookie, NetNS: st.netns, Owners: self(fd),
		Mark:   uint32(st.intOf(fd, unix.SOL_SOCKET, unix.SO_MARK)),
		Family: whose.IPv4,
	}
	switch proto := st.intOf(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL); proto {
	case unix.IPPROTO_TCP:
		s.Proto = whose.TCP
	case unix.IPPROTO_UDP:
		s.Proto = whose.UDP
	case unix.IPPROTO_UDPLITE:
		s.Proto = whose.UDPLite
	case protoMPTCP:
		s.Proto = whose.MPTCP
	default:
		st.check(fmt.Errorf("protocol %d", proto), "getsockopt SO_PROTOCOL")
	}
	if st.intOf(fd, unix.SOL_SOCKET, unix.SO_DOMAIN) == unix.AF_INET6 {
		s.Family = whose.IPv6
		s.V6Only = st.intOf(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY) != 0
	}
	if s.IsListener() {
		device, err := unix.GetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE)
		st.check(err, "getsockopt SO_BINDTODEVICE")
		s.Exposure = whose.ExposureOf(s.Local.Addr(), device == "lo")
	}
	return s
}

// listener describes a TCP listener with this backlog.
func (st *Stage) listener(fd, backlog int) whose.Session {
	s := st.session(fd, whose.Listen)
	s.SendQueue = uint32(backlog)
	return s
}

// established describes an open end of a connection, and the holders of the
// other.
func (st *Stage) established(fd int, d whose.Direction, peer ...int) whose.Session {
	s := st.session(fd, whose.Established)
	s.Direction = d
	for _, pid := range peer {
		s.Peer = append(s.Peer, owner(pid))
	}
	return s
}

// ownerless makes a session one without a holder, for the reason.
func ownerless(s whose.Session, r whose.Reason) whose.Session {
	s.Owners, s.Reason = nil, r
	return s
}

// closed makes a session one whose process has closed it: no file, no owner.
func closed(s whose.Session, state whose.State) whose.Session {
	s = ownerless(s, whose.ReasonOrphan)
	s.State, s.Inode, s.Peer = state, 0, nil
	return s
}

// A pair is a listener with one connection: its client's and its accepted end.
type pair struct{ l, c, a int }

// pair opens a listener and a connection to it. The client connects to the
// address to, or to the listener's if it is empty.
func (st *Stage) pair(addr, to string, opts ...setOpt) pair {
	l := st.listen(addr, 16, opts...)
	target := st.local(l)
	if to != "" {
		target = netip.AddrPortFrom(netip.MustParseAddr(to), target.Port())
	}
	c := st.connect(target, unix.SOCK_STREAM, unix.IPPROTO_TCP)
	return pair{l, c, st.accept(l)}
}

// wait waits for an event expected soon, and ends the set-up if it does not
// happen within some seconds.
func (st *Stage) wait(what string, done func() bool) {
	deadline := time.Now().Add(10 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			st.check(fmt.Errorf("it did not happen in time"), what)
		}
		time.Sleep(time.Millisecond)
	}
}

// inState waits for a state of TCP.
func (st *Stage) inState(fd int, state whose.State) {
	st.wait("wait for "+state.String(), func() bool {
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		return err == nil && whose.State(info.State) == state
	})
}

// finish ends a connection in order, the client first, and waits until only the
// client's TIME_WAIT is left. It returns this.
func (st *Stage) finish(p pair) whose.Session {
	client := st.established(p.c, whose.Out)
	st.check(unix.Shutdown(p.c, unix.SHUT_WR), "shutdown")
	st.inState(p.c, whose.FinWait2)
	st.close(p.c)
	st.check(unix.Shutdown(p.a, unix.SHUT_WR), "shutdown")
	st.inState(p.a, whose.Close)
	st.close(p.a)
	return closed(client, whose.TimeWait)
}

// waiting waits until n connections wait in a listener's accept queue.
func (st *Stage) waiting(l, n int) {
	st.wait("wait for a connection in the accept queue", func() bool {
		info, err := unix.GetsockoptTCPInfo(l, unix.IPPROTO_TCP, unix.TCP_INFO)
		return err == nil && int(info.Unacked) == n
	})
}

// queued returns how many bytes wait in the socket's receive queue and how
// many were sent and are not acknowledged.
func (st *Stage) queued(fd int) (recv, send int) {
	recv, err := unix.IoctlGetInt(fd, unix.TIOCINQ)
	st.check(err, "ioctl SIOCINQ")
	send, err = unix.IoctlGetInt(fd, unix.TIOCOUTQ)
	st.check(err, "ioctl SIOCOUTQ")
	return recv, send
}

// fill writes until neither end's buffer takes more, and returns how many
// bytes then wait on either side.
func (st *Stage) fill(p pair) (atServer, atClient int) {
	st.check(unix.SetNonblock(p.c, true), "set non-blocking")
	written, quiet := 0, 0
	block := make([]byte, 64<<10)
	st.wait("wait for full buffers", func() bool {
		n, err := unix.Write(p.c, block)
		if n > 0 {
			written += n
		}
		if err != unix.EAGAIN {
			st.check(err, "write")
			quiet = 0
			return false
		}
		in, _ := st.queued(p.a)
		_, out := st.queued(p.c)
		if in+out != written || in != atServer {
			quiet = 0
		}
		atServer, atClient = in, out
		quiet++
		return quiet > 300 // longer than a delayed acknowledgement takes
	})
	return atServer, atClient
}

// holds sorts owners by PID, as answers do.
func holds(owners ...whose.Owner) []whose.Owner {
	slices.SortFunc(owners, func(a, b whose.Owner) int { return int(a.PID) - int(b.PID) })
	return owners
}
