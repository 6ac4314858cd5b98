package bpfevent

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// at matches the records of a kind that have these ends.
func at(k Kind, from, to netip.AddrPort) func(*Record) bool {
	from, to = unmap(from), unmap(to)
	return func(r *Record) bool { return r.Kind == k && local(r) == from && remote(r) == to }
}

func (s *sock) peer() netip.AddrPort {
	sa, err := unix.Getpeername(s.fd)
	must(s.t, "getpeername", err)
	return addrPort(sa)
}

// counts reports whether the kernel counts the bytes of a session, and not of
// its subflows alone.
func countsSessions(t *testing.T) bool {
	major, minor := testenv.Kernel(t)
	return major > 6 || major == 6 && minor >= 6
}

// TestMPTCP opens, uses and closes connections of one listener, several at a
// time, each way there is: MPTCP at both ends, and at one end alone.
func TestMPTCP(t *testing.T) {
	const mptcp, tcp = unix.IPPROTO_MPTCP, unix.IPPROTO_TCP
	ns := testenv.NewNetNS(t)
	w := newWatch(t, inNetNS(ns))
	for family, addr := range loopbacks {
		for _, p := range [][2]int{{mptcp, mptcp}, {tcp, mptcp}, {mptcp, tcp}} {
			for _, named := range []bool{true, false} {
				for _, first := range []string{"client", "server"} {
					name := fmt.Sprintf("%s/%v to %v/%s closes first, named %v", family, protoOf(p[0]), protoOf(p[1]), first, named)
					t.Run(name, func(t *testing.T) {
						w.t = t
						testSessions(t, w, ns, addr, p[0], p[1], named, first == "client")
					})
				}
			}
		}
	}
}

func testSessions(t *testing.T, w *watch, ns *testenv.NetNS, addr netip.AddrPort, from, to int, named, clientFirst bool) {
	var l *sock
	type pair struct{ client, server *sock }
	var pairs []pair
	ns.Do(func() {
		l = listenAs(t, addr, to)
		for range 3 {
			client := connectAs(t, l.name(), from)
			pairs = append(pairs, pair{client, l.accept(named)})
		}
	})
	accepted := protoOf(to)
	if from != to {
		accepted = whose.TCP
	}
	for i, p := range pairs {
		here, there := p.client.name(), p.server.name()
		p.client.send(1000)
		p.server.receive(1000)
		p.server.send(300)
		p.client.receive(300)
		if i > 0 { // the first stands until it has been told of
			w.one("open", at(TCPOpen, there, here))
		}
		a, b := p.client, p.server
		if !clientFirst {
			a, b = b, a
		}
		must(t, "shutdown", unix.Shutdown(a.fd, unix.SHUT_WR))
		b.readEnd()
		b.close()
		a.close()
		checkEnd(t, w, protoOf(from), here, there, true, 1000, 300)
		checkEnd(t, w, accepted, there, here, false, 300, 1000)
	}
	l.close()
	w.one("listen", of(TCPListen, l.cookie))
	w.one("unlisten", of(TCPUnlisten, l.cookie))
}

// checkEnd checks what is told of one end of a connection.
func checkEnd(t *testing.T, w *watch, proto whose.Proto, from, to netip.AddrPort, out bool, sent, received uint64) {
	t.Helper()
	open, over := w.one("open", at(TCPOpen, from, to)), w.one("close", at(TCPClose, from, to))
	owner := open
	if !out {
		owner = w.one("accept", at(TCPAccept, from, to))
	}
	checkSelf(t, &owner)
	if whose.Proto(open.Proto) != proto || open.Out != out || over.Proto != open.Proto || over.Cookie != open.Cookie || open.Cookie == 0 || owner.Inode == 0 {
		t.Errorf("%v to %v, %v, out %v: %+v, %+v, %+v", from, to, proto, out, open, owner, over)
	}
	if (proto == whose.TCP || countsSessions(t)) && (over.BytesSent != sent || over.BytesReceived != received) {
		t.Errorf("%v to %v: sent %d, received %d; want %d, %d", from, to, over.BytesSent, over.BytesReceived, sent, received)
	}
}

// TestMPTCP_Queued lets connections wait to be accepted: one is accepted late,
// one is left by its client, and the rest end with the listener.
func TestMPTCP_Queued(t *testing.T) {
	ns := testenv.NewNetNS(t)
	w := newWatch(t, inNetNS(ns))
	for family, addr := range loopbacks {
		t.Run(family, func(t *testing.T) {
			w.t = t
			var l *sock
			var clients []*sock
			var from []netip.AddrPort
			ns.Do(func() {
				l = listenAs(t, addr, unix.IPPROTO_MPTCP)
				for range 4 {
					c := connectAs(t, l.name(), unix.IPPROTO_MPTCP)
					clients, from = append(clients, c), append(from, c.name())
				}
			})
			to := clients[0].peer()
			for _, from := range from {
				if r := w.one("open", at(TCPOpen, to, from)); r.Task.PID != 0 || r.Out {
					t.Errorf("in the queue: %+v", r)
				}
			}
			late := l.accept(true)
			clients[1].close()
			left := l.accept(true)
			for _, from := range from[:2] {
				r := w.one("accept", at(TCPAccept, to, from))
				checkSelf(t, &r)
			}
			late.close()
			clients[0].close()
			left.close()
			l.close()
			for i, from := range from {
				if r := w.one("close", at(TCPClose, to, from)); r.Accepted && i > 1 {
					t.Errorf("close of one that nobody accepted: %+v", r)
				}
			}
			if accepts := w.all(func(r *Record) bool { return r.Kind == TCPAccept && r.LocalPort == to.Port() }); len(accepts) != 2 {
				t.Errorf("%d were accepted, want 2: %+v", len(accepts), accepts)
			}
		})
	}
}

// TestMPTCP_Subflows adds a subflow to a connection, and has another fail: of
// neither end is told anything but the session.
func TestMPTCP_Subflows(t *testing.T) {
	testenv.NeedIP(t)
	ns := testenv.NewNetNS(t)
	w := newWatch(t, inNetNS(ns))
	var client, server *sock
	ns.Do(func() {
		ip(t, "addr add 127.0.0.2/8 dev lo")
		ip(t, "mptcp limits set subflow 4 add_addr_accepted 4")
		ip(t, "mptcp endpoint add 127.0.0.2 dev lo subflow")
		l := listenAs(t, netip.MustParseAddrPort("127.0.0.1:0"), unix.IPPROTO_MPTCP)
		client = connectAs(t, l.name(), unix.IPPROTO_MPTCP)
		server = l.accept(true)
		client.send(10)
		server.receive(10)
		for _, s := range []*sock{client, server} {
			s.untilSubflows(2)
		}
		// Nobody listens at the next address, so a subflow to it is refused.
		tried := joinsTried(t)
		ip(t, "mptcp endpoint add 127.0.0.3 dev lo signal")
		waitFor(t, "one more subflow to be tried", func() bool { return tried < 0 || joinsTried(t) > tried })
		l.close()
	})
	here, there := client.name(), server.name()
	server.send(20)
	client.receive(20)
	client.close()
	server.readEnd()
	server.close()
	checkEnd(t, w, whose.MPTCP, here, there, true, 10, 20)
	checkEnd(t, w, whose.MPTCP, there, here, false, 20, 10)
	other := w.all(func(r *Record) bool {
		return r.Kind <= TCPFail && !(local(r) == here && remote(r) == there) && !(local(r) == there && remote(r) == here)
	})
	if len(other) > 0 {
		t.Errorf("told of subflows: %+v", other)
	}
}

// joinsTried returns how many more subflows the namespace of the thread has
// tried to open, -1 where the kernel does not count them.
func joinsTried(t *testing.T) int {
	b, err := os.ReadFile("/proc/thread-self/net/netstat")
	must(t, "read netstat", err)
	var names []string
	for line := range strings.Lines(string(b)) {
		fields := strings.Fields(line)
		if i := slices.Index(names, "MPJoinSynTx"); i > 0 && fields[0] == names[0] {
			n, err := strconv.Atoi(fields[i])
			must(t, "read netstat", err)
			return n
		}
		names = fields
	}
	return -1
}

// mptcpInfo is MPTCP_INFO, a socket option of level SOL_MPTCP.
const solMPTCP, mptcpInfo = 284, 1

// untilSubflows waits until a session has so many subflows.
func (s *sock) untilSubflows(n int) {
	s.t.Helper()
	waitFor(s.t, fmt.Sprintf("%d subflows", n), func() bool {
		info, err := unix.GetsockoptString(s.fd, solMPTCP, mptcpInfo)
		if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOPROTOOPT) {
			testenv.Lacks(s.t, "MPTCP_INFO", err.Error())
		}
		must(s.t, "read MPTCP_INFO", err)
		return len(info) > 0 && int(info[0]) >= n-1 // beside the first
	})
}
