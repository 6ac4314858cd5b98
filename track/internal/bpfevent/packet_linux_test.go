package bpfevent

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// What is hard to tell from packets is the same by calls.

// TestUDP_Fragments sends datagrams that do not fit into a packet.
func TestUDP_Fragments(t *testing.T) { eachWay(t, testUDPFragments) }

func testUDPFragments(t *testing.T, packets bool) {
	testenv.NeedProgram(t, "ip")
	ns := testenv.NewNetNS(t)
	ns.Do(func() { ip(t, "link set lo mtu 1500") })
	w := newWatch(t, countingIn(ns, packets))
	for family, addr := range loopbacks {
		t.Run(family, func(t *testing.T) {
			var server, client *sock
			ns.Do(func() { server, client = bound(t, addr), open(t, unix.SOCK_DGRAM, addr) })
			client.sendTo(20000, server.name())
			server.sendTo(4000, server.receiveFrom(20000))
			client.receiveFrom(4000)
			closeBoth(t, w, client, server, 20000, 4000, 1, 1)
		})
	}
}

// closeBoth closes both ends of a flow and wants each to be told with what went
// there, from the client, and back.
func closeBoth(t *testing.T, w *watch, client, server *sock, there, back, datagramsThere, datagramsBack uint64) {
	t.Helper()
	client.close()
	server.close()
	over := w.one("close", of(UDPClose, client.cookie))
	counts(t, &over, there, back, datagramsThere, datagramsBack)
	over = w.one("close", of(UDPClose, server.cookie))
	counts(t, &over, back, there, datagramsBack, datagramsThere)
}

// TestUDP_Options sends datagrams with options in their headers.
func TestUDP_Options(t *testing.T) { eachWay(t, testUDPOptions) }

func testUDPOptions(t *testing.T, packets bool) {
	testenv.NeedCap(t, unix.CAP_NET_RAW)
	ns := testenv.NewNetNS(t)
	w := newWatch(t, countingIn(ns, packets))
	padding := string([]byte{0, 0, 1, 4, 0, 0, 0, 0}) // a header that says nothing
	for _, c := range []struct {
		name, family string
		level        int
		options      map[int]string
	}{
		{"IPv4", "IPv4", unix.IPPROTO_IP, map[int]string{unix.IP_OPTIONS: "\x01\x01\x01\x01"}},
		{"IPv6", "IPv6", unix.IPPROTO_IPV6, map[int]string{unix.IPV6_DSTOPTS: padding}},
		{"IPv6, two headers", "IPv6", unix.IPPROTO_IPV6, map[int]string{unix.IPV6_DSTOPTS: padding, unix.IPV6_HOPOPTS: padding}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var server, client *sock
			ns.Do(func() { server, client = bound(t, loopbacks[c.family]), open(t, unix.SOCK_DGRAM, loopbacks[c.family]) })
			for name, value := range c.options {
				must(t, "set option", unix.SetsockoptString(client.fd, c.level, name, value))
			}
			client.sendTo(33, server.name())
			if from := server.receiveFrom(33); from.Port() != client.name().Port() {
				t.Errorf("received from %v", from)
			}
			closeBoth(t, w, client, server, 33, 0, 1, 0)
		})
	}
}

// TestUDP_Group sends a datagram to a group: a flow of each socket that gets it.
func TestUDP_Group(t *testing.T) { eachWay(t, testUDPGroup) }

func testUDPGroup(t *testing.T, packets bool) {
	ns := testenv.NewNetNS(t)
	w := newWatch(t, countingIn(ns, packets))
	group := netip.MustParseAddr("239.1.2.3")
	at := netip.AddrPortFrom(netip.IPv4Unspecified(), 20001)
	to := netip.AddrPortFrom(group, at.Port())
	var members [2]*sock
	var sender *sock
	ns.Do(func() {
		for i := range members {
			m := open(t, unix.SOCK_DGRAM, at)
			must(t, "set reuse", unix.SetsockoptInt(m.fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
			must(t, "join", unix.SetsockoptIPMreq(m.fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP,
				&unix.IPMreq{Multiaddr: group.As4(), Interface: [4]byte{127, 0, 0, 1}}))
			m.bind(at)
			members[i] = m
		}
		sender = bound(t, loopbacks["IPv4"])
		must(t, "choose device", unix.SetsockoptInet4Addr(sender.fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, [4]byte{127, 0, 0, 1}))
	})
	from := sender.name()
	sender.sendTo(50, to)
	sender.close()
	over := w.one("close", of(UDPClose, sender.cookie))
	if remote(&over) != to {
		t.Errorf("flow to %v, want %v", remote(&over), to)
	}
	counts(t, &over, 50, 0, 1, 0)
	for _, m := range members {
		if got := m.receiveFrom(50); got != from {
			t.Errorf("received from %v, want %v", got, from)
		}
		m.close()
		over := w.one("close", of(UDPClose, m.cookie))
		if remote(&over) != from {
			t.Errorf("flow to %v, want %v", remote(&over), from)
		}
		counts(t, &over, 0, 50, 0, 1)
	}
}

// TestUDP_NoRoom sends more than a socket has room for: what is dropped did not
// get there.
func TestUDP_NoRoom(t *testing.T) { eachWay(t, testUDPNoRoom) }

func testUDPNoRoom(t *testing.T, packets bool) {
	const all, size = 200, 1000
	ns := testenv.NewNetNS(t)
	w := newWatch(t, countingIn(ns, packets))
	var server, full, client *sock
	ns.Do(func() {
		server, client = bound(t, loopbacks["IPv4"]), open(t, unix.SOCK_DGRAM, loopbacks["IPv4"])
		must(t, "set buffer", unix.SetsockoptInt(server.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 20*size))
		must(t, "set nonblock", unix.SetNonblock(server.fd, true))
		full = bound(t, loopbacks["IPv4"])
	})
	to := server.name()
	for range all {
		client.sendTo(size, to)
	}
	// The order of packets on one way is kept: when this came, all others did.
	client.sendTo(1, full.name())
	full.receiveFrom(1)
	got := uint64(0)
	for {
		n, _, err := unix.Recvfrom(server.fd, make([]byte, size), 0)
		if err == unix.EAGAIN {
			break
		}
		must(t, "receive", err)
		if n != size {
			t.Errorf("received %d bytes", n)
		}
		got++
	}
	if got == 0 || got == all {
		t.Fatalf("%d of %d got there", got, all)
	}
	server.close()
	client.close()
	over := w.one("close", of(UDPClose, server.cookie))
	counts(t, &over, 0, got*size, 0, got)
	over = w.one("close", func(r *Record) bool {
		return r.Kind == UDPClose && r.Cookie == client.cookie && r.RemotePort == to.Port()
	})
	counts(t, &over, all*size, 0, all, 0)
}

// TestUDP_Elsewhere sends to another than the one that a socket is connected to.
func TestUDP_Elsewhere(t *testing.T) { eachWay(t, testUDPElsewhere) }

func testUDPElsewhere(t *testing.T, packets bool) {
	ns := testenv.NewNetNS(t)
	w := newWatch(t, countingIn(ns, packets))
	var s, one, other *sock
	ns.Do(func() {
		one, other = bound(t, loopbacks["IPv4"]), bound(t, loopbacks["IPv4"])
		s = open(t, unix.SOCK_DGRAM, loopbacks["IPv4"])
		must(t, "connect", unix.Connect(s.fd, sockaddr(one.name())))
		// What the kernel refuses names no remote for what comes next.
		if err := unix.Sendto(s.fd, []byte("x"), 0, sockaddr(netip.MustParseAddrPort("192.0.2.1:9"))); err != unix.ENETUNREACH {
			t.Errorf("sendto: %v", err)
		}
	})
	s.send(1)
	s.sendTo(2, other.name())
	s.send(1)
	s.close()
	for to, datagrams := range map[*sock]uint64{one: 2, other: 1} {
		over := w.one("close", func(r *Record) bool {
			return r.Kind == UDPClose && r.Cookie == s.cookie && remote(r) == to.name()
		})
		counts(t, &over, 2, 0, datagrams, 0)
	}
}

// TestUDP_Owner has children use sockets that they inherited: the process is the
// one that sends or receives first.
func TestUDP_Owner(t *testing.T) { eachWay(t, testUDPOwner) }

func testUDPOwner(t *testing.T, packets bool) {
	for _, c := range []struct {
		role      string
		connected bool
		// by tells whether the child is named by a packet, too.
		by bool
	}{
		{"echo", true, true}, // writes
		{"receive", false, true},
		{"receive", true, true},
		{"read", false, false}, // and does not ask where from
	} {
		t.Run(c.role, func(t *testing.T) {
			ns := testenv.NewNetNS(t)
			config := countingIn(ns, packets)
			if c.by {
				config.takenWithin = time.Hour // the child has to start first
			}
			w := newWatch(t, config)
			var s, other *sock
			ns.Do(func() {
				s, other = bound(t, loopbacks["IPv4"]), bound(t, loopbacks["IPv4"])
				if c.connected {
					must(t, "connect", unix.Connect(s.fd, sockaddr(other.name())))
				}
			})
			to := s.name()
			file := os.NewFile(uintptr(s.fd), "socket")
			cmd := actor(t, c.role, "")
			cmd.ExtraFiles = []*os.File{file}
			must(t, "start", testenv.Start(t, cmd))
			must(t, "close", file.Close())
			s.fd = -1
			if c.role != "echo" {
				other.sendTo(5, to)
			}
			must(t, "wait", cmd.Wait())
			want := cmd.Process.Pid
			if packets && !c.by {
				want = os.Getpid() // who bound it
			}
			open := w.one("open", of(UDPOpen, s.cookie))
			if open.Task.PID != uint32(want) {
				t.Errorf("opened by %d, want %d", open.Task.PID, want)
			}
			w.one("close", of(UDPClose, s.cookie))
		})
	}
}

// TestPackets_Unread tells of a flow that nobody reads.
func TestPackets_Unread(t *testing.T) {
	ns := testenv.NewNetNS(t)
	w := newWatch(t, countingIn(ns, true))
	var server, client *sock
	ns.Do(func() { server, client = bound(t, loopbacks["IPv6"]), bound(t, loopbacks["IPv6"]) })
	before := boot(t)
	client.sendTo(9, server.name())
	after := boot(t)
	open := w.one("open", of(UDPOpen, server.cookie))
	checkSelf(t, &open)
	if open.Out || open.Time != open.Opened || open.Time < before || open.Time > after || remote(&open) != client.name() {
		t.Errorf("open: %+v, want between %d and %d", open, before, after)
	}
	server.close()
	over := w.one("close", of(UDPClose, server.cookie))
	counts(t, &over, 0, 9, 0, 1)
}

// TestUDP_Crowd has flows of a socket give way to those of others and to its own.
// Each is told as opened and then as closed, though by packets nobody has read it
// yet.
func TestUDP_Crowd(t *testing.T) { eachWay(t, testUDPCrowd) }

func testUDPCrowd(t *testing.T, packets bool) {
	const room, all = 16, 100
	ns := testenv.NewNetNS(t)
	c := countingIn(ns, packets)
	c.MaxFlows = room
	w := newWatch(t, c)
	var server *sock
	ns.Do(func() {
		server = bound(t, loopbacks["IPv4"])
		for i := range uint16(all) {
			s := open(t, unix.SOCK_DGRAM, loopbacks["IPv4"])
			s.bind(netip.AddrPortFrom(netip.IPv4Unspecified(), 20_000+i)) // the same port again would be the same flow
			s.sendTo(3, server.name())
			if !packets {
				server.receiveFrom(3)
			}
			s.close()
		}
	})
	server.close()
	opened := make(map[netip.AddrPort]bool)
	for _, r := range w.want(all, "open", of(UDPOpen, server.cookie)) {
		checkSelf(t, &r)
		opened[remote(&r)] = true
	}
	for _, r := range w.want(all, "close", of(UDPClose, server.cookie)) {
		counts(t, &r, 0, 3, 0, 1)
		if !opened[remote(&r)] {
			t.Errorf("closed without being opened: %v", remote(&r))
		}
	}
}

// TestUDP_Translated sends by way of a translation of addresses: the remote is
// the one that the process knows.
func TestUDP_Translated(t *testing.T) { eachWay(t, testUDPTranslated) }

func testUDPTranslated(t *testing.T, packets bool) {
	nft, err := exec.LookPath("nft")
	if err != nil {
		testenv.Lacks(t, "nft", err.Error())
	}
	ns := testenv.NewNetNS(t)
	w := newWatch(t, countingIn(ns, packets))
	known := netip.MustParseAddrPort("127.0.0.9:53")
	for _, connected := range []bool{false, true} {
		t.Run(fmt.Sprintf("connected %v", connected), func(t *testing.T) {
			var server, client *sock
			var out []byte
			ns.Do(func() {
				server, client = bound(t, loopbacks["IPv4"]), open(t, unix.SOCK_DGRAM, loopbacks["IPv4"])
				rules := fmt.Sprintf("flush ruleset; table ip t { chain c { type nat hook output priority -100; ip daddr %v udp dport %d dnat to %v; }; }",
					known.Addr(), known.Port(), server.name())
				out, err = exec.Command(nft, rules).CombinedOutput()
				if connected {
					must(t, "connect", unix.Connect(client.fd, sockaddr(known)))
				}
			})
			if err != nil {
				testenv.Lacks(t, "translation of addresses", fmt.Sprintf("%v: %s", err, out))
			}
			if connected {
				client.send(11)
			} else {
				client.sendTo(11, known)
			}
			server.sendTo(22, server.receiveFrom(11))
			if from := client.receiveFrom(22); from != known {
				t.Errorf("received from %v, want %v", from, known)
			}
			client.close()
			over := w.one("close", of(UDPClose, client.cookie))
			if remote(&over) != known {
				t.Errorf("flow to %v, want %v", remote(&over), known)
			}
			counts(t, &over, 11, 22, 1, 1)
		})
	}
}

// BenchmarkDatagrams has datagrams sent and received, both ends here, as fast as
// one thread can.
func BenchmarkDatagrams(b *testing.B) {
	b.Run("unwatched", func(b *testing.B) { benchmarkDatagrams(b, nil) })
	b.Run("calls", func(b *testing.B) { benchmarkDatagrams(b, &Config{Kinds: whose.SetOf(UDPOpen, UDPClose)}) })
	b.Run("packets", func(b *testing.B) {
		benchmarkDatagrams(b, &Config{Kinds: whose.SetOf(UDPOpen, UDPClose), Packets: true})
	})
}

func benchmarkDatagrams(b *testing.B, c *Config) {
	ns := testenv.NewNetNS(b)
	testenv.NeedRoot(b)
	if c != nil {
		source, err := Open(*c)
		must(b, "open", err)
		defer source.Close()
	}
	ns.Do(func() {
		server, client := bound(b, loopbacks["IPv4"]), bound(b, loopbacks["IPv4"])
		to, data := sockaddr(server.name()), make([]byte, 100)
		for b.Loop() {
			must(b, "send", unix.Sendto(client.fd, data, 0, to))
			_, _, err := unix.Recvfrom(server.fd, data, 0)
			must(b, "receive", err)
		}
	})
}
