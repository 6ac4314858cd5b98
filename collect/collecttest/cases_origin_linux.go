package collecttest

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// originCases are sessions of which who listens says nothing, or the wrong
// thing, about who began them.
func originCases() []Case {
	both := func(st *Stage) { st.dialFromListener("127.0.0.1"); st.dialFromListener("::1") }
	return []Case{
		{Name: "dialled from the listening port", Rule: "a connection that a program makes from the port it listens on goes out", hold: both},
		{Name: "dialled from the port of a group", Rule: "a connection from the port of a SO_REUSEPORT group goes out, and one to it comes in",
			hold: holdDialledFromGroup},
		{Name: "listener gone", Rule: "a connection that was accepted comes in, also when its listener is gone",
			hold: func(st *Stage) {
				for _, to := range [][2]string{{"127.0.0.1:0", ""}, {"[::1]:0", ""}, {"[::]:0", "127.0.0.1"}} {
					p := st.pair(to[0], to[1])
					st.close(p.l)
					st.addEnds(p, true)
				}
			}},
		{Name: "listener gone, half closed", Rule: "one that was accepted comes in in every state that its listener does not outlive",
			hold: func(st *Stage) {
				p := st.pair("127.0.0.1:0", "")
				st.close(p.l)
				st.check(unix.Shutdown(p.a, unix.SHUT_WR), "shutdown")
				st.inState(p.a, whose.FinWait2)
				client, server := st.established(p.c, whose.Out, st.pid()), st.established(p.a, whose.In, st.pid())
				client.State, client.RecvQueue, server.State = whose.CloseWait, 1, whose.FinWait2
				st.add("client end", client)
				st.addBySource("accepted end", server, byListener(0))
			}},
		{Name: "listener gone, ended", Rule: "of a server's TIME_WAIT without a listener nobody says that it went out",
			hold: func(st *Stage) {
				p := st.pair("127.0.0.1:0", "")
				st.close(p.l)
				server := st.established(p.a, whose.In)
				st.finish(pair{p.l, p.a, p.c})
				st.addBySource("accepted end", closed(server, whose.TimeWait), map[string]whose.Direction{"bpf": 0, BeforeWalk: 0, "netlink": 0, "procfs": 0})
			}},
		{Name: "listening still, ended", Rule: "a server's TIME_WAIT came in where its listener still takes such sessions",
			hold: func(st *Stage) {
				p := st.pair("127.0.0.1:0", "")
				server := st.established(p.a, whose.In)
				st.finish(pair{p.l, p.a, p.c})
				st.add("listener", st.listener(p.l, 16))
				st.add("accepted end", closed(server, whose.TimeWait))
			}},
		{Name: "no backlog", Rule: "a listener with a backlog of nought accepts like any other", hold: func(st *Stage) {
			l := st.listen("127.0.0.1:0", 0)
			c := st.connect(st.local(l), unix.SOCK_STREAM, 0)
			p := pair{l, c, st.accept(l)}
			st.add("listener", st.listener(l, 0))
			st.addEnds(p, false)
		}},
		{Name: "no backlog, listener gone", Rule: "what a listener without a backlog accepted comes in, also when it is gone, whatever was sent",
			needs: needKernel(6, 18), hold: holdNoBacklogGone},
		{Name: "bound client", Rule: "a connection from an address that was bound goes out, the port chosen or not", hold: holdBoundClient},
		{Name: "listener turned client", Rule: "a listener that was disconnected and connects goes out, though it keeps its backlog",
			hold: holdTurnedClient},
		{Name: "opened at once", Rule: "where both ends connect to each other both go out", hold: holdAtOnce},
		{Name: "connected to itself", Rule: "a socket that is connected to itself goes out",
			hold: func(st *Stage) {
				c := st.bound("127.0.0.1:0", unix.SOCK_STREAM, 0)
				st.check(unix.Connect(c, sockaddr(unix.AF_INET, st.local(c))), "connect to itself")
				st.add("both ends", st.established(c, whose.Out))
			}},
		{Name: "fast open", Rule: "a connection opened with data in its SYN comes in at the listener and goes out at the client", hold: holdFastOpen},
		{Name: "fast open, listener gone", Rule: "a connection opened with data in its SYN comes in, also when its listener is gone",
			hold: func(st *Stage) {
				p := st.fastOpen()
				st.close(p.l)
				st.addFastOpen(p, true)
			}},
		{Name: "mptcp from the listening port", Rule: "an MPTCP connection goes out or comes in as its first subflow does",
			needs: needSocket(unix.AF_INET, unix.SOCK_STREAM, protoMPTCP, "MPTCP"), hold: holdMPTCPFromListener},
		{Name: "transparent proxy", Rule: "a connection that TPROXY led to a listener on another port comes in",
			needs: needTPROXY, hold: holdTransparent},
	}
}

// byListener are the directions given by the sources that go by who listens.
func byListener(d whose.Direction) map[string]whose.Direction {
	return map[string]whose.Direction{"netlink": d, "procfs": d}
}

// addBySource notes a session whose direction some sources cannot know, with
// those that they give instead.
func (st *Stage) addBySource(label string, s whose.Session, instead map[string]whose.Direction) {
	st.truths = append(st.truths, Truth{Label: label, Session: s, Instead: instead})
}

// addEnds notes the ends of a connection, whose listener may be gone.
func (st *Stage) addEnds(p pair, gone bool) {
	st.add("client end", st.established(p.c, whose.Out, st.pid()))
	accepted := st.established(p.a, whose.In, st.pid())
	if gone {
		st.addBySource("accepted end", accepted, byListener(whose.Out))
		return
	}
	st.add("accepted end", accepted)
}

var reuseAddr = intOpt(unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)

// dialFromListener listens, and connects to another listener from the same port.
func (st *Stage) dialFromListener(addr string) {
	at := netip.AddrPortFrom(netip.MustParseAddr(addr), 0).String()
	own, other := st.listen(at, 16, reuseAddr, reusePort), st.listen(at, 16)
	c := st.bound(st.local(own).String(), unix.SOCK_STREAM, 0, reuseAddr, reusePort)
	st.check(unix.Connect(c, sockaddr(familyOf(st.local(other)), st.local(other))), "connect from the listening port")
	a := st.accept(other)
	in := st.connect(st.local(own), unix.SOCK_STREAM, 0)
	st.add("listener", st.listener(own, 16))
	st.add("other listener", st.listener(other, 16))
	st.addBySource("dialled from the listening port", st.established(c, whose.Out, st.pid()), byListener(whose.In))
	st.add("its other end", st.established(a, whose.In, st.pid()))
	st.addEnds(pair{own, in, st.accept(own)}, false)
}

func holdDialledFromGroup(st *Stage) {
	g := st.group("127.0.0.1:0", 1)
	other := st.listen("127.0.0.1:0", 16)
	c := st.bound(g.addr.String(), unix.SOCK_STREAM, 0, reusePort)
	st.check(unix.Connect(c, sockaddr(unix.AF_INET, st.local(other))), "connect from the port of the group")
	a := st.accept(other)
	st.addQueued(4, g, "", g.owners)
	g.add(st)
	st.add("other listener", st.listener(other, 16))
	st.addBySource("dialled from the port of the group", st.established(c, whose.Out, st.pid()), byListener(whose.In))
	st.add("its other end", st.established(a, whose.In, st.pid()))
}

// holdNoBacklogGone sends in both directions, and closes one end, before the
// listener goes: only a count of what was sent knows which end is which.
func holdNoBacklogGone(st *Stage) {
	for _, bytes := range []int{0, 1, 2, 70_000} {
		l := st.listen("127.0.0.1:0", 0)
		p := pair{l: l, c: st.connect(st.local(l), unix.SOCK_STREAM, 0)}
		p.a = st.accept(l)
		st.close(l)
		for _, way := range [][2]int{{p.c, p.a}, {p.a, p.c}} {
			st.carry(way[0], way[1], bytes)
		}
		st.addEnds(p, true)
	}
	l := st.listen("127.0.0.1:0", 0)
	p := pair{l: l, c: st.connect(st.local(l), unix.SOCK_STREAM, 0)}
	p.a = st.accept(l)
	st.close(l)
	st.carry(p.c, p.a, 10)
	st.check(unix.Shutdown(p.a, unix.SHUT_WR), "shutdown")
	st.inState(p.a, whose.FinWait2)
	client, server := st.established(p.c, whose.Out, st.pid()), st.established(p.a, whose.In, st.pid())
	client.State, client.RecvQueue, server.State = whose.CloseWait, 1, whose.FinWait2
	st.add("client end", client)
	st.addBySource("accepted end", server, byListener(0))
}

// carry has one end send and the other read so many bytes.
func (st *Stage) carry(from, to, bytes int) {
	buf := make([]byte, bytes)
	for sent := buf; len(sent) > 0; {
		n, err := unix.Write(from, sent)
		st.check(err, "write")
		sent = sent[n:]
		for n > 0 {
			got, err := unix.Read(to, buf[:n])
			st.check(err, "read")
			n -= got
		}
	}
	st.wait("wait for the acknowledgement", func() bool { _, out := st.queued(from); return out == 0 })
}

func holdBoundClient(st *Stage) {
	l := st.listen("127.0.0.1:0", 16)
	st.add("listener", st.listener(l, 16))
	chosen := fmt.Sprintf("127.0.0.1:%d", st.freePort())
	for _, from := range []string{"127.0.0.2:0", "0.0.0.0:0", chosen} {
		c := st.bound(from, unix.SOCK_STREAM, 0)
		st.check(unix.Connect(c, sockaddr(unix.AF_INET, st.local(l))), "connect from "+from)
		st.addEnds(pair{l, c, st.accept(l)}, false)
	}
	c := st.bound("127.0.0.2:0", unix.SOCK_STREAM, 0, intOpt(unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1))
	st.check(unix.Connect(c, sockaddr(unix.AF_INET, st.local(l))), "connect without a port")
	st.addEnds(pair{l, c, st.accept(l)}, false)
}

// freePort is a port that nobody had a moment ago.
func (st *Stage) freePort() uint16 {
	fd := st.bound("127.0.0.1:0", unix.SOCK_STREAM, 0)
	defer st.close(fd)
	return st.local(fd).Port()
}

// holdTurnedClient has listeners become clients: one at a port of its choice, on
// which another still listens, and one that left the choice to the kernel.
func holdTurnedClient(st *Stage) {
	other := st.listen("127.0.0.1:0", 16)
	st.add("listener", st.listener(other, 16))
	still := st.listen("127.0.0.1:0", 16, reuseAddr, reusePort)
	st.add("listener on the same port", st.listener(still, 16))
	for _, from := range []netip.AddrPort{st.local(still), netip.MustParseAddrPort("127.0.0.1:0")} {
		c := st.listen(from.String(), 16, reuseAddr, reusePort)
		st.check(disconnect(c), "disconnect a listener")
		st.check(unix.Connect(c, sockaddr(unix.AF_INET, st.local(other))), "connect what was a listener")
		a := st.accept(other)
		s := st.established(c, whose.Out, st.pid())
		if from.Port() != 0 {
			st.addBySource("was a listener, at the port of another", s, byListener(whose.In))
		} else {
			st.add("was a listener", s)
		}
		st.add("its other end", st.established(a, whose.In, st.pid()))
	}
}

// disconnect dissolves what a socket is: connect with AF_UNSPEC.
func disconnect(fd int) error {
	var none [16]byte
	_, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&none[0])), uintptr(len(none)))
	if errno != 0 {
		return errno
	}
	return nil
}

// holdAtOnce has two sockets connect to each other. A filter keeps the first SYN
// from each until both have sent one; the kernel sends it again after a second.
func holdAtOnce(st *Stage) {
	a, b := st.bound("127.0.0.1:0", unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0), st.bound("127.0.0.1:0", unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	for _, ends := range [][2]int{{a, b}, {b, a}} {
		st.check(dropAll(ends[0]), "attach filter")
		if err := unix.Connect(ends[0], sockaddr(unix.AF_INET, st.local(ends[1]))); err != unix.EINPROGRESS {
			st.check(fmt.Errorf("%v, want EINPROGRESS", err), "connect to each other")
		}
	}
	for _, fd := range []int{a, b} {
		st.check(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0), "detach filter")
	}
	st.inState(a, whose.Established)
	st.inState(b, whose.Established)
	st.add("one end", st.established(a, whose.Out, st.pid()))
	st.add("other end", st.established(b, whose.Out, st.pid()))
}

// dropAll has a socket take no packet.
func dropAll(fd int) error {
	drop := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K}}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &drop[0]})
}

// fastOpen opens a connection with data in its SYN.
func (st *Stage) fastOpen() pair {
	// 1 and 2: as client and server; 4 and 0x200: without a cookie.
	st.check(os.WriteFile("/proc/sys/net/ipv4/tcp_fastopen", []byte("519"), 0), "allow fast open")
	l := st.listen("127.0.0.1:0", 16, intOpt(unix.IPPROTO_TCP, unix.TCP_FASTOPEN, 16))
	c := st.socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	st.check(unix.Sendto(c, []byte("hello"), unix.MSG_FASTOPEN, sockaddr(unix.AF_INET, st.local(l))), "connect with data")
	a := st.accept(l)
	info, err := unix.GetsockoptTCPInfo(c, unix.IPPROTO_TCP, unix.TCP_INFO)
	st.check(err, "getsockopt TCP_INFO")
	if info.Options&32 == 0 { // TCPI_OPT_SYN_DATA
		st.check(fmt.Errorf("the data was not taken with the SYN"), "fast open")
	}
	return pair{l, c, a}
}

func (st *Stage) addFastOpen(p pair, gone bool) {
	st.add("client end", st.established(p.c, whose.Out, st.pid()))
	accepted := st.established(p.a, whose.In, st.pid())
	accepted.RecvQueue = 5
	if gone {
		st.addBySource("accepted end", accepted, byListener(whose.Out))
		return
	}
	st.add("accepted end", accepted)
}

func holdFastOpen(st *Stage) {
	p := st.fastOpen()
	st.add("listener", st.listener(p.l, 16))
	st.addFastOpen(p, false)
}

func holdMPTCPFromListener(st *Stage) {
	open := []string{"send_queue", "recv_queue"}
	listen := func() int {
		l := st.bound("127.0.0.1:0", unix.SOCK_STREAM, protoMPTCP, reuseAddr, reusePort)
		st.check(unix.Listen(l, 16), "listen")
		return l
	}
	own, other := listen(), listen()
	c := st.bound(st.local(own).String(), unix.SOCK_STREAM, protoMPTCP, reuseAddr, reusePort)
	st.check(unix.Connect(c, sockaddr(unix.AF_INET, st.local(other))), "connect from the listening port")
	a := st.accept(other)
	st.add("listener", st.listener(own, 16))
	dialled, accepted := st.established(c, whose.Out, st.pid()), st.established(a, whose.In, st.pid())
	st.close(other)
	st.truths = append(st.truths,
		Truth{Label: "dialled from the listening port", Session: dialled, Open: open, Instead: byListener(whose.In)},
		Truth{Label: "accepted by a listener that is gone", Session: accepted, Open: open, Instead: byListener(whose.Out)})
}

// holdTransparent has a listener with IP_TRANSPARENT take what is sent to port
// 80 of another host, as a proxy does.
func holdTransparent(st *Stage) {
	for _, line := range []string{
		"ip link set lo up",
		"ip rule add fwmark 1 lookup 100", "ip route add local default dev lo table 100",
		"ip route add default dev lo",
		"nft add table ip proxy",
		"nft add chain ip proxy in { type filter hook prerouting priority -150 ; }",
		"nft add chain ip proxy out { type route hook output priority -150 ; }",
		"nft add rule ip proxy out ip daddr 198.51.100.7 tcp dport 80 meta mark set 1",
		"nft add rule ip proxy in ip daddr 198.51.100.7 tcp dport 80 tproxy to 127.0.0.1:3128 meta mark set 1 accept",
	} {
		words := strings.Fields(line)
		out, err := exec.Command(words[0], words[1:]...).CombinedOutput()
		st.check(err, fmt.Sprintf("%s: %s", line, out))
	}
	l := st.listen("127.0.0.1:3128", 16, intOpt(unix.IPPROTO_IP, unix.IP_TRANSPARENT, 1))
	dial := func() int {
		c := st.bound("127.0.0.1:0", unix.SOCK_STREAM, 0)
		st.check(unix.Connect(c, sockaddr(unix.AF_INET, netip.MustParseAddrPort("198.51.100.7:80"))), "connect through the proxy")
		return c
	}
	c := dial()
	a := st.accept(l)
	st.add("listener", st.listener(l, 16), "recv_queue")
	st.add("client end", st.established(c, whose.Out, st.pid()))
	st.addBySource("accepted end", st.established(a, whose.In, st.pid()),
		map[string]whose.Direction{"netlink": 0, "procfs": whose.Out})
	client := st.established(dial(), whose.Out)
	st.waiting(l, 1)
	queued := st.queue(client, nil) // which listener it waits for does not show
	queued.Peer = self()
	st.add("client end of what waits", client)
	st.add("waits to be accepted", queued)
}

// needTPROXY skips where nft cannot set up a transparent proxy.
func needTPROXY(t testing.TB) {
	testenv.NeedIP(t)
	nft := testenv.NeedProgram(t, "nft")
	ns := testenv.NewNetNS(t)
	defer ns.Close()
	cmd := exec.Command(nft, "-f", "-")
	cmd.Stdin = strings.NewReader("table ip t { chain p { type filter hook prerouting priority -150; tcp dport 80 tproxy to :3128; }; }")
	var said strings.Builder
	cmd.Stderr = &said
	if err := ns.Start(cmd); err != nil {
		t.Fatal(err)
	}
	if cmd.Wait() != nil {
		testenv.Lacks(t, "TPROXY of nftables", said.String())
	}
}

// needKernel skips on kernels before major.minor, which do not mark a port that
// connect chose.
func needKernel(major, minor int) func(testing.TB) {
	return func(t testing.TB) {
		if kernelBefore(major, minor) {
			testenv.Lacks(t, fmt.Sprintf("Linux %d.%d", major, minor), "a port that connect chose is not marked")
		}
	}
}
