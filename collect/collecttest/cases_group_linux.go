package collecttest

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// groupCases test the choice of the listener for a connection, and of its other
// end, among several possible ones.
func groupCases() []Case {
	return []Case{
		{Name: "accept queues of three", Rule: "connections that wait for a SO_REUSEPORT group of three processes name all three, whichever they wait for",
			hold: func(st *Stage) {
				g := st.group("127.0.0.1:0", 2)
				st.addQueued(12, g, "", g.owners)
				g.add(st)
			}},
		{Name: "group with a device", Rule: "a listener that is bound to the device takes what comes by it before the rest of its SO_REUSEPORT group",
			ByDevice: true, hold: func(st *Stage) {
				g := st.group("127.0.0.1:0", 1)
				bound := st.child("listen by lo", g.addr.String())
				st.addQueued(6, g, "lo", holds(owner(bound.PID)))
				g.add(st)
				st.addMembers(bound.Truths)
			}},
		{Name: "exact before wildcard", Rule: "a listener on just the address takes a connection before one on all addresses",
			hold: func(st *Stage) {
				g := st.group("0.0.0.0:0", 1)
				exact := st.child("listen", fmt.Sprintf("127.0.0.1:%d", g.addr.Port()))
				one := g
				one.addr = netip.MustParseAddrPort(fmt.Sprintf("127.0.0.1:%d", g.addr.Port()))
				st.addQueued(4, one, "", holds(owner(exact.PID)))
				other := g
				other.addr = netip.MustParseAddrPort(fmt.Sprintf("127.0.0.2:%d", g.addr.Port()))
				st.addQueued(4, other, "", g.owners)
				g.add(st)
				st.addMembers(exact.Truths)
			}},
		{Name: "dual stack", Rule: "an IPv6 listener on all addresses takes IPv4 too, and its connections are of its own family",
			hold: func(st *Stage) {
				g := st.group("[::]:0", 1)
				st.addQueued(3, g.to("127.0.0.1", whose.IPv6), "", g.owners)
				st.addQueued(3, g.to("::1", whose.IPv6), "", g.owners)
				g.add(st)
			}},
		{Name: "dual stack beside IPv4", Rule: "of two listeners on all addresses that of IPv4 takes IPv4 before that of IPv6",
			hold: func(st *Stage) { st.holdBeside(false) }},
		{Name: "v6only beside IPv4", Rule: "an IPv6 listener that takes IPv6 alone leaves IPv4 to the one beside it",
			hold: func(st *Stage) { st.holdBeside(true) }},
		{Name: "member closed", Rule: "connections that wait for what is left of a SO_REUSEPORT group name those alone", hold: holdMemberClosed},
		{Name: "member of nobody", Rule: "connections that wait for a group of which one member is in flight name the others",
			hold: func(st *Stage) {
				g := st.group("127.0.0.1:0", 1)
				l := st.listen(g.addr.String(), 16, reusePort)
				s := ownerless(st.listener(l, 16), whose.ReasonInFlight)
				ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
				st.check(err, "socketpair")
				st.send(ends[0], l)
				st.close(l)
				st.addQueued(8, g, "", g.owners)
				g.add(st)
				st.add("in flight", s, "recv_queue")
			}},
		{Name: "mptcp listener", Rule: "a plain TCP connection that waits for an MPTCP listener names its owners, and one that was accepted is its accepter's",
			needs: needSocket(unix.AF_INET, unix.SOCK_STREAM, protoMPTCP, "MPTCP"), hold: holdPlainOfMPTCP},
		{Name: "same ends in two namespaces", Rule: "of connections with the same ends in two namespaces each has its other end in its own",
			Namespaces: true, needs: testenv.NeedIP, hold: holdSameEnds},
	}
}

// A group is listeners with one address by SO_REUSEPORT: one of the helper and
// some of children.
type group struct {
	l      int
	addr   netip.AddrPort
	family whose.Family
	owners []whose.Owner
	others []Truth
}

// group has the helper and n children listen on one address.
func (st *Stage) group(addr string, n int) group {
	l := st.listen(addr, 16, reusePort)
	g := group{l: l, addr: st.local(l), family: whose.IPv4, owners: []whose.Owner{owner(st.pid())}}
	if !g.addr.Addr().Is4() {
		g.family = whose.IPv6
	}
	for range n {
		c := st.child("listen", g.addr.String())
		g.owners = append(g.owners, owner(c.PID))
		g.others = append(g.others, c.Truths...)
	}
	g.owners = holds(g.owners...)
	return g
}

// to is the group as it is reached by one address, which gives connections of a
// family.
func (g group) to(addr string, family whose.Family) group {
	g.addr, g.family = netip.AddrPortFrom(netip.MustParseAddr(addr), g.addr.Port()), family
	return g
}

// add notes the listeners. How many connections wait for which of them only the
// kernel knows.
func (g group) add(st *Stage) {
	st.add("listener", st.listener(g.l, 16), "recv_queue")
	st.addMembers(g.others)
}

func (st *Stage) addMembers(truths []Truth) {
	for _, m := range truths {
		m.Open = append(m.Open, "recv_queue")
		st.truths = append(st.truths, m)
	}
}

// addQueued makes n connections to a group and notes both ends of each. They
// wait for one of the owners by a listener bound to a device or none.
func (st *Stage) addQueued(n int, g group, device string, owners []whose.Owner) {
	for range n {
		c := st.queueOne(g.addr)
		client := st.established(c, whose.Out)
		client.Peer = owners
		queued := st.queue(client, owners)
		queued.Peer, queued.RecvQueue, queued.Family, queued.BoundDev = self(), 1, g.family, device
		st.add("client end", client)
		st.add("waits to be accepted", queued)
	}
}

// queueOne makes a connection and leaves it in the accept queue. Data is
// acknowledged only by a complete connection.
func (st *Stage) queueOne(to netip.AddrPort) int {
	c := st.connect(to, unix.SOCK_STREAM, unix.IPPROTO_TCP)
	_, err := unix.Write(c, []byte{0})
	st.check(err, "write")
	st.wait("wait for the acknowledgement", func() bool { _, out := st.queued(c); return out == 0 })
	return c
}

// holdBeside has an IPv4 and an IPv6 listener on all addresses and one port.
func (st *Stage) holdBeside(only bool) {
	g := st.group("0.0.0.0:0", 0)
	role := "listen"
	if only {
		role = "listen v6only"
	}
	six := st.child(role, fmt.Sprintf("[::]:%d", g.addr.Port()))
	st.addQueued(3, g.to("127.0.0.1", whose.IPv4), "", g.owners)
	st.addQueued(3, g.to("::1", whose.IPv6), "", holds(owner(six.PID)))
	g.add(st)
	st.addMembers(six.Truths)
}

// holdMemberClosed closes one listener of a group of three, with its pending
// accepts.
func holdMemberClosed(st *Stage) {
	g := st.group("127.0.0.1:0", 1)
	leaving := st.listen(g.addr.String(), 16, reusePort)
	var clients []int
	for range 12 {
		clients = append(clients, st.queueOne(g.addr))
	}
	st.close(leaving)
	for _, c := range clients {
		if _, err := unix.Getpeername(c); err != nil { // it waited for the closed listener, and was reset
			st.close(c)
			continue
		}
		client := st.established(c, whose.Out)
		client.Peer = g.owners
		queued := st.queue(client, g.owners)
		queued.Peer, queued.RecvQueue = self(), 1
		st.add("client end", client)
		st.add("waits to be accepted", queued)
	}
	g.add(st)
}

func holdPlainOfMPTCP(st *Stage) {
	l := st.bound("127.0.0.1:0", unix.SOCK_STREAM, protoMPTCP)
	st.check(unix.Listen(l, 16), "listen")
	accepted := st.connect(st.local(l), unix.SOCK_STREAM, unix.IPPROTO_TCP)
	a := st.accept(l)
	waiting := st.queueOne(st.local(l))
	client := st.established(waiting, whose.Out, st.pid())
	queued := st.queue(client, self())
	queued.RecvQueue = 1
	s := st.listener(l, 16)
	st.add("listener", s, "recv_queue", "send_queue")
	st.add("client end", st.established(accepted, whose.Out, st.pid()))
	st.add("accepted end", st.established(a, whose.In, st.pid()))
	st.add("client end of the one that waits", client)
	st.add("waits to be accepted", queued)
}

// holdSameEnds has a process in each of two namespaces make connections with
// the very same ends: by a loopback address, and by another common to both.
func holdSameEnds(st *Stage) {
	connect := func() {
		st.ip("addr add 10.93.0.1/32 dev lo")
		st.ip("link set lo up")
		st.truths = append(st.truths, st.child("same ends", "").Truths...)
	}
	connect()
	st.onThread(func() {
		st.check(unix.Unshare(unix.CLONE_NEWNET), "unshare network namespace")
		connect()
	})
}

// sameEnds connects to itself by each address, from a port of its own choice.
func (st *Stage) sameEnds(string) {
	for _, addr := range []string{"127.0.0.1", "10.93.0.1"} {
		at := netip.MustParseAddr(addr)
		server, client := netip.AddrPortFrom(at, 2000), netip.AddrPortFrom(at, 2001)
		l := st.listen(server.String(), 16)
		c := st.fromTo(client, server, unix.SOCK_STREAM)
		st.addPair(pair{l, c, st.accept(l)}, st.pid())
	}
}

// listenAs is a listening child, bound to the named device if there is one.
func listenAs(device string, opts ...setOpt) func(*Stage, string) {
	return func(st *Stage, addr string) {
		l := st.listen(addr, 16, append(opts, reusePort)...)
		s := st.listener(l, 16)
		s.BoundDev = device
		st.add("listener of the child", s)
	}
}

func toLo(fd int) error { return unix.BindToDevice(fd, "lo") }

var v6Only = intOpt(unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
