package collect

import (
	"net/netip"
	"testing"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/pair"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// sock makes a TCP socket of namespace 1.
func sock(state whose.State, local, remote string) source.Socket {
	l, r := netip.MustParseAddrPort(local), netip.MustParseAddrPort(remote)
	s := source.Socket{End: pair.End{Proto: whose.TCP, State: state, NetNS: 1, Family: whose.IPv4, Local: l.Addr().As16(), LocalPort: l.Port(), Remote: r.Addr().As16(), RemotePort: r.Port()}}
	if l.Addr().Is6() {
		s.Family = whose.IPv6
	}
	return s
}

func with(s source.Socket, change func(*source.Socket)) source.Socket {
	change(&s)
	return s
}

func TestListeners(t *testing.T) {
	all4 := sock(whose.Listen, "0.0.0.0:80", "0.0.0.0:0")
	one4 := sock(whose.Listen, "10.0.0.1:80", "0.0.0.0:0")
	all6 := sock(whose.Listen, "[::]:80", "[::]:0")
	only6 := with(all6, func(s *source.Socket) { s.V6Only = true })
	in := sock(whose.Established, "10.0.0.1:80", "10.0.0.2:5000")
	for _, c := range []struct {
		rule      string
		listeners []source.Socket
		session   source.Socket
		want      int // place of the listener, -1 for none
	}{
		{"a listener on all addresses takes what comes to one", []source.Socket{all4}, in, 0},
		{"a listener on just that address comes first", []source.Socket{all4, one4}, in, 1},
		{"[::] takes IPv4 too", []source.Socket{all6}, in, 0},
		{"[::] with v6only does not", []source.Socket{only6}, in, -1},
		{"0.0.0.0 takes no IPv6", []source.Socket{all4}, sock(whose.Established, "[fd00::1]:80", "[fd00::2]:5000"), -1},
		{"another port", []source.Socket{all4}, sock(whose.Established, "10.0.0.1:5000", "10.0.0.2:80"), -1},
		{"another namespace", []source.Socket{all4}, with(in, func(s *source.Socket) { s.NetNS = 2 }), -1},
		{"an MPTCP listener accepts plain TCP", []source.Socket{with(all4, func(s *source.Socket) { s.Proto = whose.MPTCP })}, in, 0},
		{"a UDP socket is no listener of TCP",
			[]source.Socket{with(all4, func(s *source.Socket) { s.Proto, s.State = whose.UDP, whose.Unconn })}, in, -1},
		{"a connect that is under way goes out", []source.Socket{all4}, with(in, func(s *source.Socket) { s.State = whose.SynSent }), -1},
	} {
		var d derived
		sockets := append(c.listeners, c.session)
		d.findListeners(sockets)
		if got := int(d.listener[len(sockets)-1]) - 1; got != c.want {
			t.Errorf("%s: listener at %d, want %d", c.rule, got, c.want)
		}
	}
}

func TestPeers(t *testing.T) {
	client := sock(whose.Established, "127.0.0.1:5000", "127.0.0.1:80")
	server := sock(whose.Established, "127.0.0.1:80", "127.0.0.1:5000")
	elsewhere := func(s source.Socket) source.Socket { return with(s, func(s *source.Socket) { s.NetNS = 2 }) }
	for _, c := range []struct {
		rule    string
		sockets []source.Socket
		want    []uint32
	}{
		{"both ends on this host", []source.Socket{client, server}, []uint32{2, 1}},
		{"loopback of another namespace is another loopback", []source.Socket{client, elsewhere(server)}, []uint32{0, 0}},
		{"the same namespace is taken first", []source.Socket{elsewhere(client), elsewhere(server), client, server}, []uint32{2, 1, 4, 3}},
		{"across namespaces by a real address",
			[]source.Socket{sock(whose.Established, "10.0.0.1:5000", "10.0.0.2:80"), elsewhere(sock(whose.Established, "10.0.0.2:80", "10.0.0.1:5000"))},
			[]uint32{2, 1}},
		{"UDP is no peer of TCP", []source.Socket{client, with(server, func(s *source.Socket) { s.Proto = whose.UDP })}, []uint32{0, 0}},
		{"a session with itself", []source.Socket{sock(whose.Established, "127.0.0.1:7", "127.0.0.1:7")}, []uint32{0}},
	} {
		var d derived
		d.findPeers(c.sockets)
		for i := range c.want {
			if d.peer[i] != c.want[i] {
				t.Errorf("%s: peers %v, want %v", c.rule, d.peer, c.want)
				break
			}
		}
	}
}

func TestReasons(t *testing.T) {
	with := func(flags source.SocketFlags, inode uint64, state whose.State) *source.Socket {
		return &source.Socket{End: pair.End{State: state}, Flags: flags, Inode: inode}
	}
	gone := func(inode uint64) bool { return inode == 99 }
	for _, c := range []struct {
		s      *source.Socket
		hidden bool
		want   whose.Reason
	}{
		{with(source.SocketKernel, 7, whose.Unconn), true, whose.ReasonKernel},
		{with(0, 0, whose.Established), false, whose.ReasonAcceptQueue},
		{with(0, 0, whose.CloseWait), false, whose.ReasonAcceptQueue},
		{&source.Socket{End: pair.End{Proto: whose.UDP, State: whose.Established}}, false, whose.ReasonRaced},
		{with(0, 0, whose.TimeWait), false, whose.ReasonOrphan},
		{with(0, 0, whose.FinWait1), false, whose.ReasonOrphan},
		{with(0, 0, whose.SynRecv), false, whose.ReasonOrphan},
		{with(0, 99, whose.Established), false, whose.ReasonRaced},
		{with(source.SocketNoFile, 7, whose.Unconn), false, whose.ReasonKernel},
		{with(source.SocketFile, 7, whose.Established), true, whose.ReasonHidden},
		{with(source.SocketFile, 7, whose.Established), false, whose.ReasonInFlight},
		{with(0, 7, whose.Established), true, whose.ReasonHidden},
		{with(0, 7, whose.Established), false, whose.ReasonUnheld},
	} {
		var d derived
		if got := d.reasonOf(c.s, c.hidden, gone); got != c.want {
			t.Errorf("flags %d inode %d %v hidden %v: %v, want %v",
				c.s.Flags, c.s.Inode, c.s.State, c.hidden, got, c.want)
		}
	}
}
