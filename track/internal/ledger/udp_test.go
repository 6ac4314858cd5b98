package ledger

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/track/internal/bpfevent"
)

const (
	udpBind  = bpfevent.UDPBind
	udpOpen  = bpfevent.UDPOpen
	udpClose = bpfevent.UDPClose
)

// TestUDP_FlowsOfOneSocket: a socket that is not connected has a flow for each
// remote end.
func TestUDP_FlowsOfOneSocket(t *testing.T) {
	b := newBench(t, Want{})
	server := at("10.0.0.1:53")
	b.apply(
		record(udpBind, 1, 1, udp, bound("10.0.0.1:53"), by("named", 3)),
		record(udpOpen, 2, 1, udp, opened(2), server, to("10.0.0.8:4000"), by("named", 3)),
		record(udpOpen, 3, 1, udp, opened(3), server, to("10.0.0.9:4000"), by("named", 3)),
		record(udpOpen, 3, 1, udp, opened(3), server, to("10.0.0.9:4000"), by("named", 3)),
	)
	b.want(
		"1 bind udp 10.0.0.1:53>0.0.0.0:0 named/3",
		"2 open in udp 10.0.0.1:53>10.0.0.8:4000 named/3",
		"3 open in udp 10.0.0.1:53>10.0.0.9:4000 named/3",
	)
	if n := len(b.sessions(nil)); n != 3 {
		t.Errorf("%d sessions in the table, want the socket and two flows", n)
	}
	end := record(udpClose, 9, 1, udp, opened(2), server, to("10.0.0.8:4000"), bytesOf(10, 20), datagrams(1, 2))
	b.apply(end, end)
	b.want("9 close in udp 10.0.0.1:53>10.0.0.8:4000 named/3 closed 7ms 10/1 20/2")
	b.apply(record(udpClose, 9, 1, udp, bound("10.0.0.1:53")))
	b.want()
	if diff := cmp.Diff([]string{"in udp 10.0.0.1:53>10.0.0.9:4000 named/3"}, b.sessions(nil)); diff != "" {
		t.Error(diff)
	}
}

// TestUDP_FromNobodyKnowsWhere: a flow whose remote end no call tells is not
// the socket itself.
func TestUDP_FromNobodyKnowsWhere(t *testing.T) {
	b := newBench(t, Want{})
	blind := func(r *bpfevent.Record) { r.RemoteUnknown = true }
	b.apply(
		record(udpBind, 1, 1, udp, bound("10.0.0.1:53"), by("log", 3)),
		record(udpOpen, 2, 1, udp, opened(2), bound("10.0.0.1:53"), blind, by("log", 3)),
		record(udpClose, 3, 1, udp, opened(2), bound("10.0.0.1:53"), blind, bytesOf(0, 9), datagrams(0, 1)),
	)
	b.want(
		"1 bind udp 10.0.0.1:53>0.0.0.0:0 log/3",
		"2 open in udp 10.0.0.1:53>0.0.0.0:0 log/3",
		"3 close in udp 10.0.0.1:53>0.0.0.0:0 log/3 closed 1ms 0/0 9/1",
	)
	if n := len(b.sessions(nil)); n != 1 {
		t.Errorf("%d sessions in the table, want the socket", n)
	}
}

func TestUDP_OnlyItsEndIsTold(t *testing.T) {
	b := newBench(t, Want{})
	b.apply(record(udpClose, 5, 1, udp, out, opened(4), by("dig", 3), bytesOf(1, 1), datagrams(1, 1)))
	b.apply(record(udpClose, 5, 2, udp, out, opened(-4), by("dig", 3), bytesOf(1, 1), datagrams(1, 1)))
	b.want(
		"4 open out udp 10.0.0.1:1001>10.0.0.2:80 dig/3",
		"5 close out udp 10.0.0.1:1001>10.0.0.2:80 dig/3 closed 1ms 1/1 1/1",
		"5 close out udp 10.0.0.1:1002>10.0.0.2:80 dig/3 closed 5ms since 1/1 1/1",
	)
}

// scan looks at the flows that the kernel counts as a tracker does.
func (b *bench) scan(at int, flows ...Flow) {
	s := b.g.ScanFlows(uint64(began+at)*1e6, 30_000*1e6)
	for i := range flows {
		if s.Idle(&flows[i]) {
			s.EndIdle(&flows[i])
		}
	}
	s.End()
}

func TestUDP_Idle(t *testing.T) {
	b := newBench(t, Want{})
	open := record(udpOpen, 10, 1, udp, out, opened(10), by("ntp", 3))
	b.apply(open)
	b.want("10 open out udp 10.0.0.1:1001>10.0.0.2:80 ntp/3")
	flow := Flow{
		Key: FlowKey{1, addr("10.0.0.2"), 80}, Last: (began + 500) * 1e6,
		Sent: whose.Traffic{Bytes: 48, Datagrams: 1}, Received: whose.Traffic{Bytes: 96, Datagrams: 2},
	}
	b.scan(30_000, flow)
	b.want()
	b.scan(31_000, flow)
	b.want("31000 close out udp 10.0.0.1:1001>10.0.0.2:80 ntp/3 idle 490ms 48/1 96/2")
	b.apply(open)
	b.want() // told twice
	b.apply(record(udpOpen, 40_000, 1, udp, out, opened(40_000), by("ntp", 3)))
	b.want("40000 open out udp 10.0.0.1:1001>10.0.0.2:80 ntp/3")
}

// TestUDP_LostEnd: a flow that the kernel counts no longer and that nobody
// ended is gone.
func TestUDP_LostEnd(t *testing.T) {
	b := newBench(t, Want{})
	b.apply(record(udpOpen, 10, 1, udp, out, opened(10), by("ntp", 3)))
	b.scan(20)
	b.scan(30, Flow{Key: FlowKey{1, addr("10.0.0.2"), 80}, Last: (began + 25) * 1e6})
	b.scan(40)
	b.want("10 open out udp 10.0.0.1:1001>10.0.0.2:80 ntp/3")
	b.scan(50)
	b.want("50 close out udp 10.0.0.1:1001>10.0.0.2:80 ntp/3 40ms")
}

// TestUDP_StandingSocketHasAFlow: a connected socket that stood is a session;
// its first datagram is no news.
func TestUDP_StandingSocketHasAFlow(t *testing.T) {
	b := newBench(t, Want{})
	s := stood(1, whose.Established, owner("ntp", 3))
	s.Proto = whose.UDP
	b.begin([]whose.Session{s})
	b.apply(
		record(udpOpen, 10, 1, udp, out, opened(10), by("ntp", 3)),
		record(udpClose, 20, 1, udp, out, opened(10), bytesOf(1, 2), datagrams(3, 4)),
	)
	b.want(
		"standing out udp 10.0.0.1:1001>10.0.0.2:80 ntp/3",
		"20 close out udp 10.0.0.1:1001>10.0.0.2:80 ntp/3 closed 20ms since 1/3 2/4",
	)
}
