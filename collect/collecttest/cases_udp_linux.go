package collecttest

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
)

func udpCases() []Case {
	return []Case{
		{Name: "udp", Rule: "a UDP socket that is only bound is UNCONN, one that is connected ESTABLISHED, IPv4 and IPv6",
			hold: func(st *Stage) {
				st.addDatagrams("127.0.0.1:0", unix.IPPROTO_UDP)
				st.addDatagrams("[::1]:0", unix.IPPROTO_UDP)
			}},
		{Name: "udp mapped", Rule: "a connected IPv6 UDP socket that talks IPv4 is shown with IPv4 addresses",
			hold: func(st *Stage) {
				fd := st.bound("[::]:0", unix.SOCK_DGRAM, unix.IPPROTO_UDP)
				to := sockaddr(unix.AF_INET6, mappedLoopback)
				st.check(unix.Connect(fd, to), "connect")
				st.add("mapped", st.established(fd, whose.Out))
			}},
		{Name: "udp waiting", Rule: "datagrams that wait to be read are counted in the receive queue",
			hold: func(st *Stage) {
				fd := st.bound("127.0.0.1:0", unix.SOCK_DGRAM, unix.IPPROTO_UDP)
				c := st.connect(st.local(fd), unix.SOCK_DGRAM, unix.IPPROTO_UDP)
				_, err := unix.Write(c, make([]byte, 500))
				st.check(err, "write")
				st.wait("wait for the datagram", func() bool { in, _ := st.queued(fd); return in == 500 })
				st.add("receiver", st.session(fd, whose.Unconn), "recv_queue") // with the kernel's overhead
				st.add("sender", st.established(c, whose.Out, st.pid()))
			}, check: checkWaiting},
		{Name: "udp server", Rule: "the other end of a connected UDP socket is the bound socket that takes its datagrams, of either family",
			hold: func(st *Stage) {
				for _, to := range [][2]string{{"127.0.0.1:0", ""}, {"[::1]:0", ""}, {"0.0.0.0:0", "127.0.0.5"}, {"[::]:0", "127.0.0.1"}, {"[::]:0", "::1"}} {
					server := st.bound(to[0], unix.SOCK_DGRAM, unix.IPPROTO_UDP)
					addr := st.local(server)
					if to[1] != "" {
						addr = netip.AddrPortFrom(netip.MustParseAddr(to[1]), addr.Port())
					}
					client := st.connect(addr, unix.SOCK_DGRAM, unix.IPPROTO_UDP)
					st.add("server at "+to[0], st.session(server, whose.Unconn))
					st.add("its client", st.established(client, whose.Out, st.pid()))
				}
			}},
		{Name: "udp to nobody", Rule: "a UDP socket connected to a port on which nobody takes its datagrams has no other end",
			hold: func(st *Stage) {
				gone, stranger := st.bound("127.0.0.1:0", unix.SOCK_DGRAM, unix.IPPROTO_UDP), st.bound("127.0.0.1:0", unix.SOCK_DGRAM, unix.IPPROTO_UDP)
				client := st.connect(st.local(gone), unix.SOCK_DGRAM, unix.IPPROTO_UDP)
				elsewhere := st.connect(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.9"), st.local(stranger).Port()), unix.SOCK_DGRAM, unix.IPPROTO_UDP)
				st.close(gone)
				st.add("client of a socket that is gone", st.established(client, whose.Out))
				st.add("bound to another address", st.session(stranger, whose.Unconn))
				st.add("client of that address", st.established(elsewhere, whose.Out))
			}},
		{Name: "udplite", Rule: "UDP-Lite sockets are listed as udplite",
			needs: needSocket(unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_UDPLITE, "UDP-Lite"),
			hold: func(st *Stage) {
				st.addDatagrams("127.0.0.1:0", unix.IPPROTO_UDPLITE)
				st.addDatagrams("[::1]:0", unix.IPPROTO_UDPLITE)
			}},
	}
}

// addDatagrams opens a socket that is only bound and two connected to each
// other.
func (st *Stage) addDatagrams(addr string, proto int) {
	st.add("bound", st.session(st.bound(addr, unix.SOCK_DGRAM, proto), whose.Unconn))
	a, b := st.bound(addr, unix.SOCK_DGRAM, proto), st.bound(addr, unix.SOCK_DGRAM, proto)
	st.check(unix.Connect(a, sockaddr(familyOf(st.local(b)), st.local(b))), "connect")
	st.check(unix.Connect(b, sockaddr(familyOf(st.local(a)), st.local(a))), "connect")
	st.add("connected, one end", st.established(a, whose.Out, st.pid()))
	st.add("connected, other end", st.established(b, whose.Out, st.pid()))
}

func checkWaiting(t *testing.T, c *caught) {
	for _, s := range c.ours(c.sessions) {
		if s.State == whose.Unconn && (s.RecvQueue < 500 || s.RecvQueue > 64<<10) {
			t.Errorf("receive queue of %d bytes, want 500 and some overhead", s.RecvQueue)
		}
	}
}
