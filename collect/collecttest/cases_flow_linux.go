package collecttest

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// flowCases are connections whose ends do not show that they belong together, and
// those with odd numbers.
func flowCases() []Case {
	return []Case{
		{Name: "redirected", Rule: "both ends of a connection that REDIRECT leads to another port have one flow id, and are each other's peer",
			needs: needNAT, hold: holdRedirected, check: checkPairs},
		{Name: "translated twice", Rule: "both ends of a connection over three namespaces, with DNAT and masquerade on the way and REDIRECT at its end, have one flow id, and are each other's peer",
			Namespaces: true, needs: needNAT, hold: holdTranslated, check: checkPairs},
		{Name: "through a proxy", Rule: "a proxy that ends connections makes two of one", hold: holdProxied, check: checkProxied},
		{Name: "numbers known", Rule: "the flow id is that of the numbers that the socket has (TCP_REPAIR)", hold: holdNumbered, check: checkNumbers},
		{Name: "restored", Rule: "a connection that was restored (TCP_REPAIR) has no flow id, whatever it sent since",
			noFlow: true, hold: holdRestored, check: checkRestored},
		{Name: "syn cookies", Rule: "a connection by a SYN cookie has the same flow id at both ends", hold: holdSynCookie, check: checkPairs},
		{Name: "accepted, then connected", Rule: "a socket that was accepted and connected anew has the flow id of its connection, or none",
			noFlow: true, hold: holdConnectedAnew, check: checkPairs},
	}
}

// needNAT skips where nft cannot translate addresses.
func needNAT(t testing.TB) {
	testenv.NeedIP(t)
	nft := testenv.NeedProgram(t, "nft")
	ns := testenv.NewNetNS(t)
	defer ns.Close()
	cmd := exec.Command(nft, "-f", "-")
	cmd.Stdin = strings.NewReader(nat("redirect to :2", "masquerade"))
	var said strings.Builder
	cmd.Stderr = &said
	if err := ns.Start(cmd); err != nil {
		t.Fatal(err)
	}
	if cmd.Wait() != nil {
		testenv.Lacks(t, "NAT of nftables", said.String())
	}
}

// nat is a table of nft with a rule for what comes in or is sent from here to port
// 80, and one for what goes out, empty for none.
func nat(to, from string) string {
	table := "table ip t { chain pre { type nat hook prerouting priority -100; tcp dport 80 " + to + "; };" +
		"chain out { type nat hook output priority -100; tcp dport 80 " + to + "; };"
	if from != "" {
		table += "chain post { type nat hook postrouting priority 100; " + from + "; };"
	}
	return table + "}"
}

func (st *Stage) nft(table string) {
	cmd := exec.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(table)
	out, err := cmd.CombinedOutput()
	st.check(err, fmt.Sprintf("nft: %s", out))
}

// addTranslated notes both ends of a connection. The sources that go by addresses do
// not find the peers.
func (st *Stage) addTranslated(label string, client, server whose.Session) {
	st.add(label+", client end", client, "peer")
	st.add(label+", accepted end", server, "peer")
}

func holdRedirected(st *Stage) {
	st.nft(nat("redirect to :8080", ""))
	l := st.listen("0.0.0.0:8080", 16)
	st.add("listener", st.listener(l, 16))
	for _, to := range []string{"127.0.0.1:80", "127.0.0.7:80"} {
		c := st.connect(netip.MustParseAddrPort(to), unix.SOCK_STREAM, 0)
		st.addTranslated(to, st.established(c, whose.Out, st.pid()), st.established(st.accept(l), whose.In, st.pid()))
	}
}

// holdTranslated has a client here, a router that is a namespace of its own, and a
// server in another.
func holdTranslated(st *Stage) {
	st.ip("link set lo up")
	there := func(setUp func()) (netns uint32, tid int) {
		st.park(func() {
			st.check(unix.Unshare(unix.CLONE_NEWNET), "unshare network namespace")
			var err error
			netns, err = netnsOf("/proc/thread-self/ns/net")
			st.check(err, "network namespace of the thread")
			tid = unix.Gettid()
			setUp()
		})
		return netns, tid
	}
	var l int
	serverNS, server := there(func() {
		st.ip("link set lo up")
		st.nft(strings.Replace(nat("redirect to :9090", ""), "dport 80", "dport 8080", 1))
		l = st.listen("0.0.0.0:9090", 16)
	})
	_, router := there(func() {
		st.ip("link add to-server type veth peer name eth0 netns " + fmt.Sprint(server))
		st.ip("addr add 10.2.0.1/24 dev to-server")
		st.ip("link set to-server up")
		st.nft(nat("dnat to 10.2.0.2:8080", "masquerade"))
		cmd := exec.Command("sysctl", "-qw", "net.ipv4.ip_forward=1")
		st.check(cmd.Run(), "let packets through")
	})
	st.ip("link add eth0 type veth peer name to-client netns " + fmt.Sprint(router))
	st.ip("addr add 10.1.0.2/24 dev eth0")
	st.ip("link set eth0 up")
	st.inNetNS(router, "ip addr add 10.1.0.1/24 dev to-client", "ip link set to-client up")
	st.inNetNS(server, "ip addr add 10.2.0.2/24 dev eth0", "ip link set eth0 up")
	c := st.connect(netip.MustParseAddrPort("10.1.0.1:80"), unix.SOCK_STREAM, 0)
	accepted, listener := st.established(st.accept(l), whose.In, st.pid()), st.listener(l, 16)
	accepted.NetNS, listener.NetNS = serverNS, serverNS
	st.add("listener", listener)
	st.addTranslated("over a router", st.established(c, whose.Out, st.pid()), accepted)
}

// inNetNS runs commands in the network namespace of a thread.
func (st *Stage) inNetNS(tid int, lines ...string) {
	for _, line := range lines {
		words := append([]string{fmt.Sprintf("--net=/proc/%d/task/%d/ns/net", st.pid(), tid)}, strings.Fields(line)...)
		out, err := exec.Command("nsenter", words...).CombinedOutput()
		st.check(err, fmt.Sprintf("%s: %s", line, out))
	}
}

// checkPairs wants one flow id at both ends, if the source knows any.
func checkPairs(t *testing.T, c *caught) {
	a := c.timed(t, whose.NeedFlow)
	for label, client := range a.byLabel {
		name, ok := strings.CutSuffix(label, ", client end")
		if !ok {
			continue
		}
		server := a.byLabel[name+", accepted end"]
		if c.source == "bpf" && !kernelBefore(5, 19) && !c.noFlow && client.Flow == 0 || client.Flow != server.Flow && client.Flow != 0 && server.Flow != 0 {
			t.Errorf("%s: flow id %x at the client and %x at the server", name, client.Flow, server.Flow)
		}
		for _, s := range []whose.Session{client, server} {
			if c.source == "bpf" && client.Flow != 0 && client.Flow == server.Flow && (len(s.Peer) != 1 || s.Peer[0].PID != uint32(c.PID)) {
				t.Errorf("%s: the peer of %v is %v, want process %d", name, s.Local, s.Peer, c.PID)
			}
		}
	}
}

func holdProxied(st *Stage) {
	front, back := st.pair("127.0.0.1:0", ""), st.pair("127.0.0.1:0", "")
	for i, p := range []pair{front, back} {
		name := []string{"before", "behind"}[i]
		st.add(name+", listener", st.listener(p.l, 16))
		st.add(name+", client end", st.established(p.c, whose.Out, st.pid()))
		st.add(name+", accepted end", st.established(p.a, whose.In, st.pid()))
	}
}

func checkProxied(t *testing.T, c *caught) {
	checkPairs(t, c)
	a := c.timed(t, whose.NeedFlow)
	before, behind := a.byLabel["before, client end"].Flow, a.byLabel["behind, client end"].Flow
	if before == behind && before != 0 {
		t.Errorf("both connections of a proxy have the flow id %x", before)
	}
}

// Queues of TCP_REPAIR.
const (
	recvQueue = 1
	sendQueue = 2
)

// numberOf returns the next number of a queue of a socket in repair.
func (st *Stage) numberOf(fd, queue int) uint32 {
	st.check(unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_REPAIR_QUEUE, queue), "choose a queue")
	n := uint32(st.intOf(fd, unix.IPPROTO_TCP, unix.TCP_QUEUE_SEQ))
	st.check(unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_REPAIR_QUEUE, 0), "choose no queue")
	return n
}

func (st *Stage) repair(fd, on int) {
	st.check(unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_REPAIR, on), "set TCP_REPAIR")
}

func holdNumbered(st *Stage) {
	p := st.pair("127.0.0.1:0", "")
	st.carry(p.c, p.a, 1234)
	st.carry(p.a, p.c, 77)
	st.repair(p.c, 1)
	sent, received := st.numberOf(p.c, sendQueue), st.numberOf(p.c, recvQueue)
	st.repair(p.c, -1) // off without a probe
	client, server := st.established(p.c, whose.Out, st.pid()), st.established(p.a, whose.In, st.pid())
	st.add("listener", st.listener(p.l, 16))
	name := fmt.Sprintf("numbers %d %d", sent-1234-1, received-77-1)
	st.add(name+", client end", client)
	st.add(name+", accepted end", server)
}

func checkNumbers(t *testing.T, c *caught) {
	checkPairs(t, c)
	a := c.timed(t, whose.NeedFlow)
	for label := range a.byLabel {
		var iss, irs uint32
		if n, _ := fmt.Sscanf(label, "numbers %d %d,", &iss, &irs); n != 2 {
			continue
		}
		var numbers [8]byte
		binary.BigEndian.PutUint32(numbers[:], min(iss, irs))
		binary.BigEndian.PutUint32(numbers[4:], max(iss, irs))
		sum := sha256.Sum256(numbers[:])
		if got, want := a.byLabel[label].Flow, binary.BigEndian.Uint64(sum[:]); got != want && c.source == "bpf" {
			t.Errorf("flow id %x, want %x", got, want)
		}
	}
}

// holdRestored ends a connection without a word, and restores it on another socket.
func holdRestored(st *Stage) {
	p := st.pair("127.0.0.1:0", "")
	st.carry(p.c, p.a, 10)
	st.repair(p.c, 1)
	numbers := [...]uint32{recvQueue: st.numberOf(p.c, recvQueue), sendQueue: st.numberOf(p.c, sendQueue)}
	from, to := st.local(p.c), st.remote(p.c)
	st.close(p.c)
	c := st.socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	st.repair(c, 1)
	for _, queue := range []int{recvQueue, sendQueue} {
		st.check(unix.SetsockoptInt(c, unix.IPPROTO_TCP, unix.TCP_REPAIR_QUEUE, queue), "choose a queue")
		st.check(unix.SetsockoptInt(c, unix.IPPROTO_TCP, unix.TCP_QUEUE_SEQ, int(int32(numbers[queue]))), "set its number")
	}
	st.check(unix.Bind(c, sockaddr(unix.AF_INET, from)), "bind")
	st.check(unix.Connect(c, sockaddr(unix.AF_INET, to)), "restore")
	st.repair(c, 0)
	st.carry(c, p.a, 1)
	st.carry(p.a, c, 1)
	st.add("listener", st.listener(p.l, 16))
	st.add("restored", st.established(c, whose.Out, st.pid()))
	st.add("its other end", st.established(p.a, whose.In, st.pid()))
}

func checkRestored(t *testing.T, c *caught) {
	a := c.timed(t, whose.NeedFlow)
	if got := a.byLabel["restored"].Flow; got != 0 {
		t.Errorf("flow id %x of a restored connection, want none", got)
	}
	if a.byLabel["its other end"].Flow == 0 && c.source == "bpf" && !kernelBefore(5, 19) {
		t.Error("no flow id of its other end, which was there all the time")
	}
}

func holdSynCookie(st *Stage) {
	cmd := exec.Command("sysctl", "-qw", "net.ipv4.tcp_syncookies=2")
	st.check(cmd.Run(), "have all connections use cookies")
	p := st.pair("127.0.0.1:0", "")
	st.carry(p.c, p.a, 10)
	st.add("listener", st.listener(p.l, 16))
	st.add("by cookie, client end", st.established(p.c, whose.Out, st.pid()))
	st.add("by cookie, accepted end", st.established(p.a, whose.In, st.pid()))
}

// holdConnectedAnew has an accepted socket, which keeps the backlog of its listener,
// connect.
func holdConnectedAnew(st *Stage) {
	p, l := st.pair("127.0.0.1:0", ""), st.listen("127.0.0.1:0", 16)
	st.check(disconnect(p.a), "disconnect")
	st.close(p.c)
	st.check(unix.Connect(p.a, sockaddr(unix.AF_INET, st.local(l))), "connect what was accepted")
	a := st.accept(l)
	st.carry(p.a, a, 10)
	st.carry(a, p.a, 10)
	st.add("listener", st.listener(p.l, 16))
	st.add("other listener", st.listener(l, 16))
	st.add("anew, client end", st.established(p.a, whose.Out, st.pid()), "direction")
	st.add("anew, accepted end", st.established(a, whose.In, st.pid()))
}
