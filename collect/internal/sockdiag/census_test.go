package sockdiag

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-44df2ae6/whose"
)

const protocols = `protocol  size sockets  memory press maxhdr  slab module     cl co di ac io in de sh ss gs se re bi br ha uh gp em
PACKET    1600      1      -1   NI       0   no   kernel      n  n  n  n  n  n  n  n  n  n  n  n  n  n  n  n  n  n
MPTCPv6   2064      2     244   no       0   yes  kernel      y  y  y  n  y  y  y  y  y  y  y  y  n  n  y  y  y  n
UDPLITEv6 1472      3       0   NI       0   yes  kernel      y  y  y  n  y  y  y  n  y  y  y  y  n  n  y  y  y  n
UDPv6     1472      4       0   NI       0   yes  kernel      y  y  y  n  y  y  y  n  y  y  y  y  n  n  y  y  y  n
TCPv6     2432      5     244   no     192   yes  kernel      y  y  y  y  y  y  y  y  y  y  y  y  n  y  y  y  y  y
UNIX-STREAM 1152      2      -1   NI       0   yes  kernel      y  n  n  n  n  n  n  n  n  n  n  n  n  n  n  n  n  n
UDP-Lite  1344      6       0   NI       0   yes  kernel      y  y  y  n  y  y  y  n  y  y  y  y  n  n  y  y  y  n
MPTCP     1936      7     244   no       0   yes  kernel      y  y  y  n  y  y  y  y  y  y  y  y  n  n  y  y  y  n
UDP       1344      8       0   NI       0   yes  kernel      y  y  y  n  y  y  y  n  y  y  y  y  n  n  y  y  y  n
TCP       2304      9     244   no     192   yes  kernel      y  y  y  y  y  y  y  y  y  y  y  y  n  y  y  y  y  y
`

const sockstat = `sockets: used 16
TCP: inuse 9 orphan 0 tw 3 alloc 1 mem 243
UDP: inuse 8 mem 0
`

func TestParseCensus(t *testing.T) {
	got := parseCensus([]byte(protocols), []byte(sockstat))
	want := census{known: true, hasMPTCP: true, hasUDPLite: true, tcp: [2]int{9, 5}, udp: [2]int{8, 4},
		udpLite: [2]int{6, 3}, mptcp: [2]int{7, 2}, timeWait: 3, all: 16}
	if got != want {
		t.Error(cmp.Diff(want, got, cmp.AllowUnexported(census{})))
	}
	for _, bad := range [][2]string{
		{"", sockstat}, {protocols, ""}, {"TCP 1 x\nUDP 1 1\n", sockstat}, {"TCP 1 1\n", sockstat},
		{protocols, "TCP: inuse 1\nsockets: used 1\n"}, {protocols, "TCP: tw 1\n"},
		{"TCP 1 -1\nUDP 1 1\n", sockstat}, {"TCP 1 99999999999999999999\nUDP 1 1\n", sockstat}, {"TCP\nUDP\n", sockstat},
	} {
		if c := parseCensus([]byte(bad[0]), []byte(bad[1])); c.known {
			t.Errorf("%.40q and %.40q give %+v, want to know nothing", bad[0], bad[1], c)
		}
	}
}

func TestCensus_LeavesOut(t *testing.T) {
	const usual = 1<<stateListen | 1<<stateEstablished
	empty := census{known: true, all: 5}
	for _, c := range []struct {
		name   string
		census census
		states uint32
		own    int
		want   bool
	}{
		{"unknown", census{}, usual, 2, false},
		{"empty", empty, usual, 2, true},
		{"one of IPv6", census{known: true, tcp: [2]int{0, 1}}, usual, 2, false},
		{"TIME_WAIT, not asked for", census{known: true, timeWait: 1}, usual, 2, true},
		{"TIME_WAIT", census{known: true, timeWait: 1}, 1 << stateTimeWait, 2, false},
		{"FIN_WAIT2", census{known: true, timeWait: 1}, 1 << stateFinWait2, 2, false},
		{"empty, all states", empty, kernelTCPStates(whose.AllStates), 2, false},
		{"empty but for our own, all states", empty, kernelTCPStates(whose.AllStates), 5, true},
		{"empty, SYN_RECV", empty, 1 << stateSynRecv, 2, false},
	} {
		if got := c.census.noTCP(c.states, c.own); got != c.want {
			t.Errorf("%s: left out %v, want %v", c.name, got, c.want)
		}
	}
	old := census{known: true, hasMPTCP: true}
	if old.none(whose.MPTCP, whose.IPv4) {
		t.Error("MPTCP is left out where it is not counted")
	}
	old.countsMPTCP = true
	if !old.none(whose.MPTCP, whose.IPv4) || !empty.none(whose.UDP, whose.IPv6) || (&census{}).none(whose.UDP, whose.IPv4) {
		t.Error("wrong families left out")
	}
	if l := empty.larger(census{}); l.known {
		t.Error("a look that failed is not noticed")
	}
	if l := empty.larger(census{known: true, tcp: [2]int{0, 4}, all: 3}); l.tcp[1] != 4 || l.all != 5 {
		t.Errorf("larger of two: %+v", l)
	}
}

func FuzzParseCensus(f *testing.F) {
	f.Add([]byte(protocols), []byte(sockstat))
	f.Add([]byte("TCP 1 1\nUDP 1 1"), []byte("sockets: used 1\nTCP: tw 2"))
	f.Add([]byte("TCP"), []byte("TCP: tw"))
	f.Fuzz(func(t *testing.T, p, s []byte) {
		c := parseCensus(p, s)
		if !c.known && c != (census{}) {
			t.Fatalf("unknown, and yet %+v", c)
		}
		if c.sockets() < 0 {
			t.Fatalf("negative: %+v", c)
		}
	})
}
