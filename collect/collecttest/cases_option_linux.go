package collecttest

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

var mappedLoopback = netip.MustParseAddrPort("[::ffff:127.0.0.1]:4711")

func optionCases() []Case {
	return []Case{
		{Name: "bound device", Rule: "the device that a socket is bound to is named", hold: func(st *Stage) {
			tcp := st.listener(st.listen("127.0.0.1:0", 5, toLo), 5)
			udp := st.session(st.bound("127.0.0.1:0", unix.SOCK_DGRAM, 0, toLo), whose.Unconn)
			tcp.BoundDev, udp.BoundDev = "lo", "lo"
			st.add("tcp", tcp)
			st.add("udp", udp)
		}},
		{Name: "exposure", Rule: "a listener tells from how far it may be reached, by its address and the loopback device", hold: holdExposure},
		{Name: "loopback by another name", Rule: "the loopback device is known by its number, whatever it and others are called",
			needs: testenv.NeedIP, hold: holdRenamedLoopback},
		{Name: "scope", Rule: "a link-local address has the name of its device as scope", needs: testenv.NeedIP, hold: holdScope},
		{Name: "mark", Rule: "the mark of a socket is told", hold: func(st *Stage) {
			st.add("marked", st.listener(st.listen("127.0.0.1:0", 5, intOpt(unix.SOL_SOCKET, unix.SO_MARK, 42)), 5))
			st.add("marked udp", st.session(st.bound("127.0.0.1:0", unix.SOCK_DGRAM, 0, intOpt(unix.SOL_SOCKET, unix.SO_MARK, 43)), whose.Unconn))
		}},
		{Name: "other user", Rule: "a session has the user id that its socket was created with", hold: func(st *Stage) {
			// On Linux the user id of file accesses, and of a new socket too,
			// is a thread's own.
			st.onThread(func() {
				st.check(unix.Setfsuid(65534), "setfsuid")
				tcp := st.listener(st.listen("127.0.0.1:0", 5), 5)
				udp := st.session(st.bound("127.0.0.1:0", unix.SOCK_DGRAM, 0), whose.Unconn)
				tcp.UID, udp.UID = 65534, 65534
				st.add("tcp", tcp)
				st.add("udp", udp)
			})
		}},
		{Name: "user without inode", Rule: "a session without an inode has the user of what it came from, or none that is told; never root's", hold: func(st *Stage) {
			st.onThread(func() {
				st.check(unix.Setfsuid(65534), "setfsuid")
				nobodys := func(s whose.Session) whose.Session {
					s.UID = 65534
					return s
				}
				l := st.listen("127.0.0.1:0", 5)
				client := nobodys(st.established(st.connect(st.local(l), unix.SOCK_STREAM, 0), whose.Out, st.pid()))
				st.waiting(l, 1)
				s := nobodys(st.listener(l, 5))
				s.RecvQueue = 1
				st.add("listener", s)
				st.add("client end", client)
				st.add("waits to be accepted", st.queue(client, self()))
				p := st.pair("127.0.0.1:0", "")
				st.add("second listener", nobodys(st.listener(p.l, 16)))
				st.add("time wait", nobodys(st.finish(p)))
			})
		}},
	}
}

// holdExposure binds to addresses that the namespace need not have.
func holdExposure(st *Stage) {
	free := func(family int) setOpt {
		if family == unix.AF_INET {
			return intOpt(unix.IPPROTO_IP, unix.IP_FREEBIND, 1)
		}
		return intOpt(unix.IPPROTO_IPV6, unix.IPV6_FREEBIND, 1)
	}
	for addr, want := range map[string]whose.Exposure{
		"127.0.0.9:0": whose.ExposureLoopback, "[::1]:0": whose.ExposureLoopback, "[::ffff:127.0.0.1]:0": whose.ExposureLoopback,
		"0.0.0.0:0": whose.ExposureAny, "[::]:0": whose.ExposureAny, "[::ffff:0.0.0.0]:0": whose.ExposureAny,
		"169.254.1.1:0": whose.ExposureLink,
		"10.1.2.3:0":    whose.ExposurePrivate, "172.31.0.1:0": whose.ExposurePrivate, "192.168.7.7:0": whose.ExposurePrivate,
		"100.127.0.1:0": whose.ExposurePrivate, "[fd00::1]:0": whose.ExposurePrivate, "[::ffff:10.1.2.3]:0": whose.ExposurePrivate,
		"172.32.0.1:0": whose.ExposurePublic, "100.128.0.1:0": whose.ExposurePublic, "[2001:db8::1]:0": whose.ExposurePublic,
	} {
		family := unix.AF_INET
		if netip.MustParseAddrPort(addr).Addr().Is6() {
			family = unix.AF_INET6
		}
		tcp := st.listener(st.listen(addr, 5, free(family)), 5)
		udp := st.session(st.bound(addr, unix.SOCK_DGRAM, 0, free(family)), whose.Unconn)
		tcp.Exposure, udp.Exposure = want, want
		st.add("tcp "+addr, tcp)
		st.add("udp "+addr, udp)
	}
	group := st.session(st.bound("224.0.0.251:0", unix.SOCK_DGRAM, 0), whose.Unconn)
	group.Exposure = whose.ExposureLink
	st.add("multicast", group)
	only := st.listener(st.listen("[::]:0", 5, v6Only), 5)
	only.Exposure = whose.ExposureAny
	st.add("v6only", only)
	lo := st.listener(st.listen("0.0.0.0:0", 5, toLo), 5)
	lo.Exposure, lo.BoundDev = whose.ExposureLoopback, "lo"
	st.add("on the loopback device", lo)
	st.addPair(st.pair("0.0.0.0:0", "127.0.0.1"), st.pid()) // a connected one has none
}

// holdRenamedLoopback calls the loopback device otherwise, and another one lo.
func holdRenamedLoopback(st *Stage) {
	st.ip("link set lo down")
	st.ip("link set lo name whose0")
	st.ip("link set whose0 up")
	st.ip("link add lo type veth peer name whose1")
	for device, want := range map[string]whose.Exposure{"whose0": whose.ExposureLoopback, "lo": whose.ExposureAny} {
		bound := func(fd int) error { return unix.SetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE, device) }
		s := st.listener(st.listen("0.0.0.0:0", 5, bound), 5)
		s.Exposure, s.BoundDev = want, device
		st.add("on "+device, s)
	}
}

func holdScope(st *Stage) {
	st.ip("link add whose0 type veth peer name whose1")
	st.ip("addr add fe80::11/64 dev whose0 nodad")
	st.ip("link set whose1 up")
	st.ip("link set whose0 up")
	device := func(name string) *unix.SockaddrInet6 {
		fd := st.socket(unix.AF_INET6, unix.SOCK_DGRAM, 0)
		defer unix.Close(fd)
		ifr, err := unix.NewIfreq(name)
		st.check(err, "name of a device")
		st.check(unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, ifr), "index of a device")
		return &unix.SockaddrInet6{Addr: netip.MustParseAddr("fe80::11").As16(), ZoneId: ifr.Uint32()}
	}
	l, u := st.socket(unix.AF_INET6, unix.SOCK_STREAM, 0), st.socket(unix.AF_INET6, unix.SOCK_DGRAM, 0)
	bind := func(fd int) func() bool { // the address is there a moment after the device is up
		return func() bool { return unix.Bind(fd, device("whose0")) == nil }
	}
	st.wait("bind to a link-local address", bind(l))
	st.wait("bind to a link-local address", bind(u))
	st.check(unix.Listen(l, 5), "listen")
	tcp, udp := st.listener(l, 5), st.session(u, whose.Unconn)
	tcp.BoundDev, tcp.Scope = "whose0", "whose0"
	udp.BoundDev, udp.Scope = "whose0", "whose0"
	st.add("tcp", tcp)
	st.add("udp", udp)
}
