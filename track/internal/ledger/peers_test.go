package ledger

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/track/internal/bpfevent"
)

// newFacing is a bench whose events are held until a settle, as those of the
// programs are, and whose lines name the peer.
func newFacing(t testing.TB, w Want) *bench {
	w.Needs |= whose.NeedPeer
	b := newBench(t, w)
	b.g.outbox.holds = true
	b.g.outbox.deliver = asEvents(func(e *whose.Event) { b.lines = append(b.lines, lineOf(e)+peerOf(&e.Session)) })
	return b
}

func peerOf(s *whose.Session) string {
	var names []string
	for _, o := range s.Peer {
		names = append(names, o.Comm)
	}
	if names == nil {
		return ""
	}
	return " <-> " + strings.Join(names, ",")
}

func (b *bench) settle(at int) { b.g.outbox.settle(uint64(began+at)*1e6, maxHeld) }

func inNetNS(n uint32) rec { return func(r *bpfevent.Record) { r.NetNS = n } }

// swap makes the record that of the other end.
func swap(r *bpfevent.Record) {
	r.Local, r.Remote = r.Remote, r.Local
	r.LocalPort, r.RemotePort = r.RemotePort, r.LocalPort
}

// TestPeer: both ends of a connection on this host know each other in all that
// is told of them, also where each is told whole when it is over.
func TestPeer(t *testing.T) {
	server := func(kind bpfevent.Kind, at int, more ...rec) bpfevent.Record {
		return record(kind, at, 2, append([]rec{func(r *bpfevent.Record) { r.LocalPort = 1001 }, swap, opened(11)}, more...)...)
	}
	b := newFacing(t, Want{})
	b.apply(
		server(tcpOpen, 11), server(tcpAccept, 12, by("nginx", 5)), server(tcpClose, 20, from(whose.FinWait2)),
		record(tcpOpen, 10, 1, out, opened(10), by("curl", 7)), record(tcpClose, 21, 1, out, opened(10), from(whose.LastAck)),
	)
	b.settle(100)
	b.want(
		"10 open out tcp 10.0.0.1:1001>10.0.0.2:80 curl/7 <-> nginx",
		"11 open in tcp 10.0.0.2:80>10.0.0.1:1001 nginx/5 <-> curl",
		"20 close in tcp 10.0.0.2:80>10.0.0.1:1001 nginx/5 orderly here 9ms <-> curl",
		"21 close out tcp 10.0.0.1:1001>10.0.0.2:80 curl/7 orderly there 11ms <-> nginx",
	)
	if n := b.g.peers.recent.len(); n != 2 {
		t.Errorf("%d halves, want both ends", n)
	}
	b.g.now += recentKeeps
	b.settle(1000)
	if n := b.g.peers.recent.len() + b.g.table.chains.used; n != 0 {
		t.Errorf("%d ends are left", n)
	}
	checkBooks(t, b.g)
}

// TestPeer_Whole: ends that are told whole know each other whichever comes
// first, also where the events of one are given out before the other is told,
// and where the other is in the table.
func TestPeer_Whole(t *testing.T) {
	side := func(n uint64, more ...rec) []rec {
		return append([]rec{func(r *bpfevent.Record) { r.LocalPort = uint16(1000 + n) }}, more...)
	}
	client := func(n uint64, at int) bpfevent.Record {
		return record(tcpClose, at, 2*n, side(n, out, opened(at-10), by("curl", 7), from(whose.LastAck))...)
	}
	server := func(n uint64, at int) bpfevent.Record {
		return record(tcpClose, at, 2*n+1, side(n, swap, opened(at-10), by("nginx", 5), wasAccepted, from(whose.FinWait2))...)
	}
	b := newFacing(t, Want{})
	for n, both := range [][]bpfevent.Record{{client(1, 20), server(1, 20)}, {server(2, 20), client(2, 20)}} {
		b.apply(both...)
		if n := b.g.peers.recent.len(); n != 0 {
			t.Errorf("%d halves are left of a whole connection", n)
		}
		b.settle(100)
		slices.Sort(b.lines)
		port := fmt.Sprint(1001 + n)
		b.want(
			"10 open in tcp 10.0.0.2:80>10.0.0.1:"+port+" nginx/5 <-> curl",
			"10 open out tcp 10.0.0.1:"+port+">10.0.0.2:80 curl/7 <-> nginx",
			"20 close in tcp 10.0.0.2:80>10.0.0.1:"+port+" nginx/5 orderly here 10ms <-> curl",
			"20 close out tcp 10.0.0.1:"+port+">10.0.0.2:80 curl/7 orderly there 10ms <-> nginx",
		)
	}
	b.apply(client(3, 50))
	b.settle(45) // its opening, before the other end is known
	b.apply(server(3, 50))
	b.settle(100)
	b.want(
		"40 open out tcp 10.0.0.1:1003>10.0.0.2:80 curl/7",
		"40 open in tcp 10.0.0.2:80>10.0.0.1:1003 nginx/5 <-> curl",
		"50 close out tcp 10.0.0.1:1003>10.0.0.2:80 curl/7 orderly there 10ms <-> nginx",
		"50 close in tcp 10.0.0.2:80>10.0.0.1:1003 nginx/5 orderly here 10ms <-> curl",
	)
	b.apply(
		record(tcpClose, 58, 11, side(5, swap, opened(50), by("nginx", 5), wasAccepted, from(whose.FinWait2))...),
		record(tcpOpen, 50, 10, side(5, out, opened(50), by("curl", 7))...),
	)
	b.settle(100)
	b.want(
		"50 open in tcp 10.0.0.2:80>10.0.0.1:1005 nginx/5 <-> curl",
		"50 open out tcp 10.0.0.1:1005>10.0.0.2:80 curl/7 <-> nginx",
		"58 close in tcp 10.0.0.2:80>10.0.0.1:1005 nginx/5 orderly here 8ms <-> curl",
	)
	b.apply(
		record(tcpOpen, 60, 8, side(4, out, opened(60), by("curl", 7))...),
		record(tcpClose, 65, 9, side(4, swap, opened(60), by("nginx", 5), wasAccepted, from(whose.FinWait2))...),
		record(tcpClose, 70, 8, side(4, out, opened(60), from(whose.LastAck))...),
	)
	b.settle(100)
	b.want(
		"60 open out tcp 10.0.0.1:1004>10.0.0.2:80 curl/7 <-> nginx",
		"60 open in tcp 10.0.0.2:80>10.0.0.1:1004 nginx/5 <-> curl",
		"65 close in tcp 10.0.0.2:80>10.0.0.1:1004 nginx/5 orderly here 5ms <-> curl",
		"70 close out tcp 10.0.0.1:1004>10.0.0.2:80 curl/7 orderly there 10ms <-> nginx",
	)
	checkBooks(t, b.g)
}

// TestPeer_OfTheSameTime: where a port is used again at once, each connection
// has the other end that opened with it.
func TestPeer_OfTheSameTime(t *testing.T) {
	b := newFacing(t, Want{Kinds: whose.SetOf(whose.EventClose)})
	for i, who := range []string{"first", "second"} {
		at := 10 * (i + 1)
		cookie := uint64(10 * i)
		port := func(r *bpfevent.Record) { r.LocalPort = 1001 }
		b.apply(
			record(tcpOpen, at, cookie+1, port, out, opened(at), by("curl", 7)),
			record(tcpClose, at+5, cookie+1, port, out, opened(at), from(whose.LastAck)),
			record(tcpOpen, at, cookie+2, port, swap, opened(at)),
			record(tcpAccept, at+1, cookie+2, port, swap, opened(at), by(who, uint32(20+i))),
			record(tcpClose, at+4, cookie+2, port, swap, opened(at), from(whose.FinWait2)),
		)
	}
	b.settle(100)
	b.want(
		"14 close in tcp 10.0.0.2:80>10.0.0.1:1001 first/20 orderly here 4ms <-> curl",
		"15 close out tcp 10.0.0.1:1001>10.0.0.2:80 curl/7 orderly there 5ms <-> first",
		"24 close in tcp 10.0.0.2:80>10.0.0.1:1001 second/21 orderly here 4ms <-> curl",
		"25 close out tcp 10.0.0.1:1001>10.0.0.2:80 curl/7 orderly there 5ms <-> second",
	)
}

// TestPeer_NetNS: an end in the same network namespace is taken before one in
// another, and a loopback address never leaves its own.
func TestPeer_NetNS(t *testing.T) {
	b := newFacing(t, Want{Kinds: whose.SetOf(whose.EventClose)})
	local := []rec{at("127.0.0.1:1001"), to("127.0.0.1:80")}
	pair := func(cookie uint64, netns uint32, who string, ends ...rec) {
		ends = append(ends[:len(ends):len(ends)], inNetNS(netns), out, opened(1), by(who, uint32(cookie)))
		b.apply(record(tcpOpen, 1, cookie, ends...))
	}
	pair(1, 1, "here", local...)
	pair(2, 1, "there", append(local, swap)...)
	pair(3, 2, "elsewhere", append(local, swap)...)
	pair(4, 3, "alone", local...)
	pair(5, 1, "host", at("10.9.0.1:1001"), to("10.9.0.2:80"))
	pair(6, 2, "container", at("10.9.0.2:80"), to("10.9.0.1:1001"))
	got := make(map[string]string)
	for _, s := range b.g.Ask(nil, filter.Env{}, 0).AppendAll(nil) {
		got[s.Owners[0].Comm] = strings.TrimPrefix(peerOf(&s), " <-> ")
	}
	want := map[string]string{
		"here": "there", "there": "here", "elsewhere": "", "alone": "", "host": "container", "container": "host",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestPeer_UDP: a socket that is bound to no address has the one that it sends to.
func TestPeer_UDP(t *testing.T) {
	b := newFacing(t, Want{Kinds: whose.SetOf(whose.EventOpen)})
	b.apply(
		record(bpfevent.UDPOpen, 1, 1, udp, out, at("127.0.0.1:5000"), to("127.0.0.1:53"), by("dig", 7)),
		record(bpfevent.UDPOpen, 2, 2, udp, at("0.0.0.0:53"), to("127.0.0.1:5000"), by("dns", 8)),
		record(bpfevent.UDPOpen, 3, 3, udp, out, at("0.0.0.0:5001"), to("10.0.0.9:53"), by("app", 9)),
		record(bpfevent.UDPOpen, 4, 4, udp, at("10.0.0.9:53"), to("10.0.0.9:5001"), by("dns", 8)),
		record(tcpOpen, 5, 5, at("10.0.0.9:53"), to("10.0.0.9:5001"), out, by("tcp", 10)),
	)
	b.settle(100)
	b.want(
		"1 open out udp 127.0.0.1:5000>127.0.0.1:53 dig/7 <-> dns",
		"2 open in udp 0.0.0.0:53>127.0.0.1:5000 dns/8 <-> dig",
		"3 open out udp 0.0.0.0:5001>10.0.0.9:53 app/9 <-> dns",
		"4 open in udp 10.0.0.9:53>10.0.0.9:5001 dns/8 <-> app",
		"5 open out tcp 10.0.0.9:53>10.0.0.9:5001 tcp/10",
	)
}

// TestPeer_Filter: a filter may ask for the owner of the other end, of events,
// of what stands, and of the live table.
func TestPeer_Filter(t *testing.T) {
	e := expr(t, "peer_comm nginx")
	b := newFacing(t, Want{Match: filter.Compile(e, filter.Env{}), Late: true, Needs: whose.NeedPeer})
	here, there, other := stood(1, whose.Established, owner("curl", 7)), stood(2, whose.Established, owner("nginx", 8)), stood(3, whose.Established, owner("ssh", 9))
	there.Local, there.Remote = here.Remote, here.Local
	standing := b.g.Begin([]whose.Session{here, there, other}, nil)
	if len(standing) != 1 || peerOf(&standing[0]) != " <-> nginx" {
		t.Errorf("standing: %v", standing)
	}
	server := []rec{func(r *bpfevent.Record) { r.LocalPort = 1009 }, swap, opened(10), by("nginx", 8), out}
	b.apply(
		record(tcpOpen, 10, 9, out, opened(10), by("wget", 10)),
		record(tcpOpen, 10, 4, out, opened(10), by("lone", 11)),
		record(tcpOpen, 10, 10, server...),
	)
	b.settle(100)
	b.want("10 open out tcp 10.0.0.1:1009>10.0.0.2:80 wget/10 <-> nginx")
	if n := b.g.Ask(e, filter.Env{}, 0).Count(); n != 2 {
		t.Errorf("%d sessions have nginx at the other end, want 2", n)
	}
}

// TestEnds_SameEnds: however many sessions have the very same ends, a chain is
// no longer than its bound, and all leave it.
func TestEnds_SameEnds(t *testing.T) {
	b := newFacing(t, Want{})
	same := []rec{udp, out, at("10.0.0.1:7"), to("10.0.0.1:7"), by("x", 1)}
	for cookie := range uint64(10 * maxChain) {
		b.apply(record(bpfevent.UDPOpen, 1, cookie+1, same...))
	}
	if n := b.g.table.chains.used; n != maxChain {
		t.Errorf("%d sessions in one chain, want %d", n, maxChain)
	}
	for cookie := range uint64(10 * maxChain) {
		b.apply(record(bpfevent.UDPClose, 2, cookie+1, same...))
	}
	if n := b.g.peers.recent.len(); n != maxChain {
		t.Errorf("%d halves with the same ends, want %d", n, maxChain)
	}
	b.g.now += recentKeeps
	b.settle(100)
	if x := &b.g.table.chains; x.used != 0 || b.g.peers.recent.len() != 0 || len(b.g.table.free) != int(b.g.table.used) {
		t.Errorf("left: %d in chains, %d halves, %d of %d places", x.used, b.g.peers.recent.len(), int(b.g.table.used)-len(b.g.table.free), b.g.table.used)
	}
}

// TestRecentEnds_Bounded: ends that are gone are bounded, whatever the clock says.
func TestRecentEnds_Bounded(t *testing.T) {
	b := newBenchOf(t, Want{Needs: whose.NeedPeer}, 10)
	b.g.outbox.deliver = func([]Event) {}
	for i := range uint64(2 * maxRecentEnds) {
		b.apply(record(tcpOpen, 1, i+1, out, opened(1), by("x", 1)), record(tcpClose, 1, i+1, out, opened(1)))
	}
	if n := b.g.peers.recent.len(); n != maxRecentEnds {
		t.Errorf("%d halves, want %d", n, maxRecentEnds)
	}
	if b.g.lost != 0 {
		t.Errorf("%d sessions found no room", b.g.lost)
	}
	checkBooks(t, b.g)
}
