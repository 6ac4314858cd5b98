package bpfevent

import (
	"fmt"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose/internal/pair"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// TestOrigin closes connections that stood before the programs ran, in each way
// there is. The record of the end says which side each was, whoever listens.
func TestOrigin(t *testing.T) {
	type end struct {
		what   string
		s      *sock
		origin pair.Origin
	}
	ns := testenv.NewNetNS(t)
	var ends []end
	var over []func()
	ns.Do(func() {
		for _, how := range []struct {
			name    string
			backlog int
			dial    func(l netip.AddrPort) *sock
		}{
			{"an ephemeral port", 16, func(at netip.AddrPort) *sock { return connect(t, at) }},
			{"no backlog", 0, func(at netip.AddrPort) *sock { return connect(t, at) }},
			{"a listening port", 16, func(at netip.AddrPort) *sock { return dialFromListener(t, at) }},
			{"a bound address", 0, func(at netip.AddrPort) *sock {
				c := open(t, unix.SOCK_STREAM, at)
				c.bind(netip.AddrPortFrom(at.Addr(), 0))
				must(t, "connect", unix.Connect(c.fd, sockaddr(at)))
				return c
			}},
			{"what was a listener", 16, func(at netip.AddrPort) *sock {
				c := listen(t, netip.AddrPortFrom(at.Addr(), 0))
				c.disconnect()
				must(t, "connect", unix.Connect(c.fd, sockaddr(at)))
				return c
			}},
		} {
			for i, ending := range []string{"client first", "server first", "client resets", "server resets"} {
				l := open(t, unix.SOCK_STREAM, loopbacks["IPv4"])
				l.bind(loopbacks["IPv4"])
				must(t, "listen", unix.Listen(l.fd, how.backlog))
				c := how.dial(l.name())
				a := l.accept(true)
				l.close()
				c.send(1000)
				a.receive(1000)
				a.send(3)
				c.receive(3)
				c.acknowledged()
				a.acknowledged()
				name := fmt.Sprintf("%s, %s", how.name, ending)
				ends = append(ends, end{name + ", client", c, pair.Connected}, end{name + ", server", a, pair.Accepted})
				over = append(over, func() { finish(t, c, a, i%2 == 0, i < 2) })
			}
		}
	})
	w := newWatch(t, inNetNS(ns))
	for _, f := range over {
		f()
	}
	for _, e := range ends {
		r := w.one(e.what, of(TCPClose, e.s.cookie))
		if r.Origin != e.origin || r.Opened != 0 {
			t.Errorf("%s: origin %d, opened %d; want %d, and not seen to open", e.what, r.Origin, r.Opened, e.origin)
		}
	}
}

// finish ends a connection from one side, in order or by a reset.
func finish(t *testing.T, client, server *sock, clientFirst, orderly bool) {
	first, last := server, client
	if clientFirst {
		first, last = client, server
	}
	if !orderly {
		first.linger0()
		first.close()
		return // the reset closes the other
	}
	must(t, "shutdown", unix.Shutdown(first.fd, unix.SHUT_WR))
	last.readEnd()
	last.close()
	first.readEnd()
	first.close()
}

// dialFromListener connects from a port that another socket listens on.
func dialFromListener(t *testing.T, to netip.AddrPort) *sock {
	own := netip.AddrPortFrom(to.Addr(), 0)
	var socks []*sock
	for range 2 {
		s := open(t, unix.SOCK_STREAM, to)
		must(t, "set SO_REUSEPORT", unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
		s.bind(own)
		own, socks = s.name(), append(socks, s)
	}
	must(t, "listen", unix.Listen(socks[0].fd, 16))
	must(t, "connect", unix.Connect(socks[1].fd, sockaddr(to)))
	return socks[1]
}
