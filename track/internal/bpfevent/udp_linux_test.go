package bpfevent

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// eachWay runs a test of flows by each way to count them.
func eachWay(t *testing.T, test func(t *testing.T, packets bool)) {
	t.Helper()
	t.Run("calls", func(t *testing.T) {
		testenv.NeedKernel(t, 6, 3, "sock_send_length")
		test(t, false)
	})
	t.Run("packets", func(t *testing.T) { test(t, true) })
}

// countingIn is inNetNS with a way to count flows.
func countingIn(ns *testenv.NetNS, packets bool) Config {
	c := inNetNS(ns)
	c.Packets = packets
	return c
}

func bound(t testing.TB, addr netip.AddrPort) *sock {
	t.Helper()
	s := open(t, unix.SOCK_DGRAM, addr)
	s.bind(addr)
	return s
}

func (s *sock) sendTo(n int, to netip.AddrPort) {
	s.t.Helper()
	must(s.t, "sendto", unix.Sendto(s.fd, make([]byte, n), 0, sockaddr(to)))
}

func (s *sock) receiveFrom(n int) netip.AddrPort {
	s.t.Helper()
	got, from, err := unix.Recvfrom(s.fd, make([]byte, 65536), 0)
	must(s.t, "recvfrom", err)
	if got != n {
		s.t.Fatalf("recvfrom: %d bytes, want %d", got, n)
	}
	return addrPort(from)
}

// counts checks what a flow counted.
func counts(t *testing.T, r *Record, sent, received, datagramsSent, datagramsReceived uint64) {
	t.Helper()
	if r.BytesSent != sent || r.BytesReceived != received || r.DatagramsSent != datagramsSent || r.DatagramsReceived != datagramsReceived {
		t.Errorf("kind %d: sent %d in %d, received %d in %d; want %d in %d, %d in %d", r.Kind,
			r.BytesSent, r.DatagramsSent, r.BytesReceived, r.DatagramsReceived, sent, datagramsSent, received, datagramsReceived)
	}
}

// TestUDP exchanges datagrams between a connected and an unconnected socket.
func TestUDP(t *testing.T) { eachWay(t, testUDP) }

func testUDP(t *testing.T, packets bool) {
	ns := testenv.NewNetNS(t)
	w := newWatch(t, countingIn(ns, packets))
	for family, addr := range loopbacks {
		t.Run(family, func(t *testing.T) {
			var server, client *sock
			ns.Do(func() {
				server = bound(t, addr)
				client = open(t, unix.SOCK_DGRAM, addr)
				must(t, "connect", unix.Connect(client.fd, sockaddr(server.name())))
			})
			at, from := server.name(), client.name()
			for range 3 {
				client.send(100)
				if got := server.receiveFrom(100); got != from {
					t.Errorf("received from %v, want %v", got, from)
				}
			}
			server.sendTo(7, from)
			server.sendTo(0, from)
			client.receive(7)
			client.receiveFrom(0)
			server.close()
			client.close()

			bind := w.one("bind", of(UDPBind, server.cookie))
			if local(&bind) != unmap(at) || bind.NetNS != ns.Inode() {
				t.Errorf("bind to %v in %d, want %v in %d", local(&bind), bind.NetNS, at, ns.Inode())
			}
			checkSelf(t, &bind)
			for _, end := range []*sock{client, server} {
				open, gone := w.one("open", of(UDPOpen, end.cookie)), w.one("close", of(UDPClose, end.cookie))
				checkSelf(t, &open)
				checkSelf(t, &gone)
				to, remote_ := at, remote(&open)
				if end == server {
					to = from
				}
				if remote_ != unmap(to) || remote(&gone) != unmap(to) || open.Key() != gone.Key() || open.Out != (end == client) {
					t.Errorf("flow to %v and %v, want %v; out %v", remote_, remote(&gone), to, open.Out)
				}
				if end == client {
					counts(t, &open, 100, 0, 1, 0)
					counts(t, &gone, 300, 7, 3, 2)
				} else {
					counts(t, &open, 0, 100, 0, 1)
					counts(t, &gone, 7, 300, 2, 3)
				}
				if gone.Opened != open.Opened || open.Time != open.Opened || gone.Time < gone.Opened {
					t.Errorf("opened %d, told %d; closed %d of %d", open.Opened, open.Time, gone.Time, gone.Opened)
				}
			}
		})
	}
}

// TestUDP_Many has one unconnected socket speak with many, which is one flow each.
func TestUDP_Many(t *testing.T) { eachWay(t, testUDPMany) }

func testUDPMany(t *testing.T, packets bool) {
	const others = 20
	ns := testenv.NewNetNS(t)
	w := newWatch(t, countingIn(ns, packets))
	var s *sock
	peers := make(map[netip.AddrPort]bool)
	ns.Do(func() {
		s = bound(t, loopbacks["IPv4"])
		for i := range others {
			peer := bound(t, loopbacks["IPv4"])
			s.sendTo(i, peer.name())
			peer.sendTo(2*i, s.name())
			s.receiveFrom(2 * i)
			peers[peer.name()] = true
		}
	})
	flows := 0
	if err := w.source.Flows(func(f *Flow) bool {
		if f.Cookie == s.cookie {
			flows++
		}
		return true
	}); err != nil || flows != others {
		t.Errorf("%d flows, want %d: %v", flows, others, err)
	}
	s.close()
	for _, r := range w.want(others, "close", of(UDPClose, s.cookie)) {
		if !peers[remote(&r)] {
			t.Errorf("close of a flow to %v", remote(&r))
		}
		delete(peers, remote(&r))
		if r.BytesReceived != 2*r.BytesSent || r.DatagramsSent != 1 || r.DatagramsReceived != 1 || r.Evicted {
			t.Errorf("close: %+v", r)
		}
	}
}

// TestUDP_Unknown receives by calls that do not say from where.
func TestUDP_Unknown(t *testing.T) { eachWay(t, testUDPUnknown) }

func testUDPUnknown(t *testing.T, packets bool) {
	ns := testenv.NewNetNS(t)
	w := newWatch(t, countingIn(ns, packets))
	var server, client *sock
	ns.Do(func() {
		server = bound(t, loopbacks["IPv6"])
		client = open(t, unix.SOCK_DGRAM, loopbacks["IPv6"])
	})
	client.sendTo(10, server.name())
	peeked := make([]byte, 10)
	if n, _, err := unix.Recvfrom(server.fd, peeked, unix.MSG_PEEK); n != 10 || err != nil {
		t.Fatalf("peek: %d bytes, %v", n, err)
	}
	server.receive(10)
	server.close()
	open, gone := w.one("open", of(UDPOpen, server.cookie)), w.one("close", of(UDPClose, server.cookie))
	counts(t, &gone, 0, 10, 0, 1)
	for _, r := range []Record{open, gone} {
		// Packets say themselves where they are from.
		if packets && (r.RemoteUnknown || r.RemotePort != client.name().Port()) ||
			!packets && (!r.RemoteUnknown || r.RemotePort != 0 || r.Remote != [16]byte{}) {
			t.Errorf("flow from %v, unknown %v", remote(&r), r.RemoteUnknown)
		}
	}
}

// TestUDP_Evicted shows that a flow that gives way is told of, that all are
// told of once, and that no byte is lost on the way.
func TestUDP_Evicted(t *testing.T) { eachWay(t, testUDPEvicted) }

func testUDPEvicted(t *testing.T, packets bool) {
	const room, all = 16, 100
	ns := testenv.NewNetNS(t)
	c := countingIn(ns, packets)
	c.MaxFlows = room
	w := newWatch(t, c)
	var s *sock
	ns.Do(func() { s = bound(t, loopbacks["IPv4"]) })
	for i := range all {
		s.sendTo(5, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(20000+i)))
		s.sendTo(5, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(20000+i)))
	}
	s.close()
	w.want(all, "open", of(UDPOpen, s.cookie))
	closed := w.want(all, "close", of(UDPClose, s.cookie))
	evicted := 0
	for _, r := range closed {
		if r.Evicted {
			evicted++
		}
		counts(t, &r, 10, 0, 2, 0)
	}
	if evicted != all-room {
		t.Errorf("%d evicted, want %d", evicted, all-room)
	}
	losses, err := w.source.Losses()
	if err != nil || losses != (Losses{}) {
		t.Errorf("losses %+v, %v", losses, err)
	}
}

// TestCloseFlow ends a flow from outside.
func TestCloseFlow(t *testing.T) { eachWay(t, testCloseFlow) }

func testCloseFlow(t *testing.T, packets bool) {
	ns := testenv.NewNetNS(t)
	w := newWatch(t, countingIn(ns, packets))
	var s *sock
	to := netip.MustParseAddrPort("127.0.0.1:9")
	ns.Do(func() { s = bound(t, loopbacks["IPv4"]) })
	s.sendTo(5, to)
	open := w.one("open", of(UDPOpen, s.cookie))
	f, ok, err := w.source.CloseFlow(open.Key())
	if !ok || err != nil || f.BytesSent != 5 || f.DatagramsSent != 1 || f.FlowKey != open.Key() || f.Last != open.Time {
		t.Fatalf("close: %+v %v %v", f, ok, err)
	}
	if _, ok, err := w.source.CloseFlow(open.Key()); ok || err != nil {
		t.Fatalf("close again: %v %v", ok, err)
	}
	s.sendTo(6, to)
	w.want(2, "open", of(UDPOpen, s.cookie))
	s.close()
	gone := w.one("close", of(UDPClose, s.cookie))
	counts(t, &gone, 6, 0, 1, 0)
}
