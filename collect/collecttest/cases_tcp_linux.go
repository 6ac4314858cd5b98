package collecttest

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
)

// dial opens a TCP connection and notes it, with its other end unknown.
func (st *Stage) dial(to string) int {
	c := st.connect(netip.MustParseAddrPort(to), unix.SOCK_STREAM, unix.IPPROTO_TCP)
	st.add("client end of the child", st.established(c, whose.Out))
	return c
}

// addPair notes a pair: a listener and both ends of its connection.
func (st *Stage) addPair(p pair, me int) {
	st.add("listener", st.listener(p.l, 16))
	st.add("client end", st.established(p.c, whose.Out, me))
	st.add("accepted end", st.established(p.a, whose.In, me))
}

func tcpCases() []Case {
	return []Case{
		{Name: "tcp4 listener", Rule: "a TCP listener is listed with its backlog and its owner",
			hold: func(st *Stage) { st.add("listener", st.listener(st.listen("127.0.0.1:0", 7), 7)) }},
		{Name: "tcp6 listener", Rule: "an IPv6 TCP listener is listed, v6only told",
			hold: func(st *Stage) {
				st.add("listener", st.listener(st.listen("[::1]:0", 7), 7))
				only := st.listen("[::]:0", 8, v6Only)
				st.add("v6only listener", st.listener(only, 8))
			}},
		{Name: "tcp4 pair", Rule: "both ends of a connection are listed, one in and one out, and each names the other's owner",
			hold: func(st *Stage) { st.addPair(st.pair("127.0.0.1:0", ""), st.pid()) }},
		{Name: "tcp6 pair", Rule: "both ends of an IPv6 connection are listed, one in and one out",
			hold: func(st *Stage) { st.addPair(st.pair("[::1]:0", ""), st.pid()) }},
		{Name: "two processes", Rule: "each end of a connection has its own owner and names the other's as its peer",
			hold: holdTwoProcesses},
		{Name: "mapped", Rule: "an IPv4 connection to an IPv6 listener is shown with IPv4 addresses and its family is still told",
			hold: func(st *Stage) { st.addPair(st.pair("[::]:0", "127.0.0.1"), st.pid()) }},
		{Name: "any address", Rule: "a connection to a listener on the unspecified address comes in",
			hold: func(st *Stage) { st.addPair(st.pair("0.0.0.0:0", "127.0.0.2"), st.pid()) }},
		{Name: "queues", Rule: "queues hold the bytes that wait to be read or acknowledged, a listener's the connections that wait",
			hold: holdQueues},
		{Name: "mptcp", Rule: "an MPTCP session is listed once, as mptcp, and its subflows are not listed beside it",
			needs: needSocket(unix.AF_INET, unix.SOCK_STREAM, protoMPTCP, "MPTCP"), hold: holdMPTCP},
		{Name: "mptcp clients", Rule: "the MPTCP sessions of one listener are told apart, and one that waits to be accepted names the listener's owners",
			needs: needSocket(unix.AF_INET6, unix.SOCK_STREAM, protoMPTCP, "MPTCP"), hold: holdMPTCPClients},
		{Name: "mptcp subflows", Rule: "each further subflow of an MPTCP session is a row with ends of its own and the session's owners",
			needs: needSubflows, Subflows: true, hold: holdSubflows},
		{Name: "tcp info", Rule: "bytes sent and received are those that went, where they are asked for",
			hold: func(st *Stage) {
				p := st.pair("127.0.0.1:0", "")
				_, err := unix.Write(p.c, make([]byte, 1234))
				st.check(err, "write")
				st.wait("wait for the data", func() bool { in, _ := st.queued(p.a); _, out := st.queued(p.c); return in == 1234 && out == 0 })
				_, err = unix.Read(p.a, make([]byte, 1234))
				st.check(err, "read")
				st.addPair(p, st.pid())
			}, check: checkTCPInfo},
		{Name: "tcp info after a FIN", Rule: "the FIN of the other side is none of the bytes received",
			hold: func(st *Stage) {
				p := st.pair("127.0.0.1:0", "")
				_, err := unix.Write(p.c, make([]byte, 1234))
				st.check(err, "write")
				st.check(unix.Shutdown(p.c, unix.SHUT_WR), "shutdown")
				st.inState(p.c, whose.FinWait2)
				for n := 1; n > 0; { // the end of the stream too
					n, err = unix.Read(p.a, make([]byte, 1234))
					st.check(err, "read")
				}
				client, server := st.established(p.c, whose.Out, st.pid()), st.established(p.a, whose.In, st.pid())
				client.State, server.State = whose.FinWait2, whose.CloseWait
				st.add("listener", st.listener(p.l, 16))
				st.add("end that closed", client)
				st.add("end that did not", server)
			}, check: checkTCPInfo},
	}
}

func holdTwoProcesses(st *Stage) {
	l := st.listen("127.0.0.1:0", 16)
	c := st.child("connect", st.local(l).String())
	a := st.accept(l)
	st.add("listener", st.listener(l, 16))
	st.add("accepted end", st.established(a, whose.In, c.PID))
	client := c.Truths[0]
	client.Peer = self()
	st.truths = append(st.truths, client)
}

func holdQueues(st *Stage) {
	p := st.pair("127.0.0.1:0", "")
	_, err := unix.Write(p.c, make([]byte, 1000))
	st.check(err, "write")
	st.wait("wait for the data", func() bool { in, _ := st.queued(p.a); _, out := st.queued(p.c); return in == 1000 && out == 0 })
	server := st.established(p.a, whose.In, st.pid())
	server.RecvQueue = 1000
	st.add("listener", st.listener(p.l, 16))
	st.add("end with 1,000 bytes to read", server)
	st.add("end that sent them", st.established(p.c, whose.Out, st.pid()))

	p = st.pair("127.0.0.1:0", "")
	in, out := st.fill(p)
	server, client := st.established(p.a, whose.In, st.pid()), st.established(p.c, whose.Out, st.pid())
	server.RecvQueue, client.SendQueue = uint32(in), uint32(out)
	st.add("listener of the full connection", st.listener(p.l, 16))
	st.add("end with a full receive buffer", server)
	st.add("end that cannot send", client)
}

func holdMPTCP(st *Stage) {
	l := st.bound("127.0.0.1:0", unix.SOCK_STREAM, protoMPTCP)
	st.check(unix.Listen(l, 16), "listen")
	c := st.connect(st.local(l), unix.SOCK_STREAM, protoMPTCP)
	a := st.accept(l)
	st.add("listener", st.listener(l, 16))
	st.add("client end", st.established(c, whose.Out, st.pid()), "send_queue", "recv_queue")
	st.add("accepted end", st.established(a, whose.In, st.pid()), "send_queue", "recv_queue")
}

// holdMPTCPClients has a listener of each family with clients that are accepted
// and one that is not, and a client of a listener that knows no MPTCP.
func holdMPTCPClients(st *Stage) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0", "[::]:0"} {
		l := st.bound(addr, unix.SOCK_STREAM, protoMPTCP)
		st.check(unix.Listen(l, 16), "listen")
		to := st.local(l)
		if to.Addr().IsUnspecified() {
			to = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), to.Port())
		}
		for range 3 {
			c := st.connect(to, unix.SOCK_STREAM, protoMPTCP)
			st.add("client end", st.established(c, whose.Out, st.pid()), "send_queue", "recv_queue")
			st.add("accepted end", st.established(st.accept(l), whose.In, st.pid()), "send_queue", "recv_queue")
		}
		client := st.established(st.connect(to, unix.SOCK_STREAM, protoMPTCP), whose.Out, st.pid())
		queued := st.queue(client, self())
		listener := st.listener(l, 16)
		queued.Family = listener.Family
		st.add("client end of the one that waits", client, "send_queue", "recv_queue")
		st.add("waits to be accepted", queued, "send_queue", "recv_queue", "proto")
		st.add("listener", listener, "recv_queue")
	}
	plain := st.listen("127.0.0.1:0", 16)
	c := st.connect(st.local(plain), unix.SOCK_STREAM, protoMPTCP)
	st.add("client of a plain listener", st.established(c, whose.Out, st.pid()), "send_queue", "recv_queue")
	st.add("accepted as plain", st.established(st.accept(plain), whose.In, st.pid()))
	st.add("plain listener", st.listener(plain, 16))
}

func checkTCPInfo(t *testing.T, c *caught) {
	opts := everything()
	opts.Needs = whose.NeedDefault | whose.NeedTCPInfo
	sessions, _ := c.again(t, opts)
	ends := 0
	for _, s := range c.ours(sessions) {
		if s.State == whose.Listen {
			continue
		}
		full := s
		full.TCP = &whose.TCPInfo{}
		Blank(c.source, &full)
		if full.TCP == nil {
			if s.TCP != nil {
				t.Errorf("%s gives %+v, which it is said not to know", c.source, s.TCP)
			}
			ends++
			continue
		}
		if s.TCP == nil {
			t.Errorf("%v: no figures of TCP", s.Local)
			continue
		}
		ends++
		sent, received := uint64(1234), uint64(0)
		if s.Direction == whose.In {
			sent, received = received, sent
		}
		if s.TCP.BytesSent != sent || s.TCP.BytesReceived != received || s.TCP.Cwnd == 0 || s.TCP.Cong == "" ||
			s.TCP.RTT <= 0 || s.TCP.Retrans != 0 {
			t.Errorf("%s end: %+v, want %d bytes sent and %d received, no retransmits, a window and an algorithm",
				s.Direction, *s.TCP, sent, received)
		}
	}
	if ends != 2 {
		t.Errorf("%d ends seen, want 2", ends)
	}
}
