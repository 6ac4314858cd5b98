package bpfevent

import (
	"net/netip"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

var loopbacks = map[string]netip.AddrPort{
	"IPv4":   netip.MustParseAddrPort("127.0.0.1:0"),
	"IPv6":   netip.MustParseAddrPort("[::1]:0"),
	"mapped": netip.MustParseAddrPort("[::ffff:127.0.0.1]:0"),
}

// TestTCP opens, uses and closes connections each way there is, and compares
// all that is told of both ends.
func TestTCP(t *testing.T) {
	ns := testenv.NewNetNS(t)
	w := newWatch(t, inNetNS(ns))
	for family, addr := range loopbacks {
		for _, named := range []bool{true, false} {
			for _, first := range []string{"client", "server"} {
				name := family + "/" + first + " closes first"
				if !named {
					name += "/accept without address"
				}
				t.Run(name, func(t *testing.T) { testTCP(t, w, ns, addr, named, first == "client") })
			}
		}
	}
}

func testTCP(t *testing.T, w *watch, ns *testenv.NetNS, addr netip.AddrPort, named, clientFirst bool) {
	var client, server *sock
	var at, from netip.AddrPort
	before := boot(t)
	ns.Do(func() {
		l := listen(t, addr)
		at = l.name()
		client = connect(t, at)
		from = client.name()
		server = l.accept(named)
	})
	client.send(1000)
	server.receive(1000)
	server.send(300)
	client.receive(300)
	a, b := client, server
	if !clientFirst {
		a, b = server, client
	}
	must(t, "shutdown", unix.Shutdown(a.fd, unix.SHUT_WR))
	b.readEnd()
	b.close()
	a.close()
	after := boot(t)

	for _, end := range []*sock{client, server} {
		out := end == client
		from, at := from, at
		if !out {
			from, at = at, from
		}
		open := w.one("open", of(TCPOpen, end.cookie))
		if open.Out != out || local(&open) != unmap(from) || remote(&open) != unmap(at) || open.NetNS != ns.Inode() {
			t.Errorf("open: out %v, %v to %v in %d; want %v, %v to %v in %d", open.Out, local(&open), remote(&open), open.NetNS, out, from, at, ns.Inode())
		}
		if open.Opened < before || open.Opened > after || open.Time != open.Opened {
			t.Errorf("opened at %d, told at %d; want between %d and %d", open.Opened, open.Time, before, after)
		}
		owner := open
		if !out {
			owner = w.one("accept", of(TCPAccept, end.cookie))
			if open.Task.PID != 0 {
				t.Errorf("open: process %d before accept", open.Task.PID)
			}
		}
		checkSelf(t, &owner)
		end2 := w.one("close", of(TCPClose, end.cookie))
		sent, received := uint64(1000), uint64(300)
		if !out {
			sent, received = received, sent
		}
		if end2.BytesSent != sent || end2.BytesReceived != received {
			t.Errorf("close: out %v, sent %d, received %d; want %d, %d", out, end2.BytesSent, end2.BytesReceived, sent, received)
		}
		want := whose.LastAck
		if out == clientFirst {
			want = whose.FinWait2
		}
		if got := whose.State(end2.OldState); got != want {
			t.Errorf("close: out %v, old state %v, want %v", out, got, want)
		}
		if end2.Err != 0 || end2.ResetHere || end2.Time < open.Opened || end2.Time > after || !out != end2.Accepted && end2.Opened != 0 {
			t.Errorf("close: %+v", end2)
		}
		if local(&end2) != unmap(from) || remote(&end2) != unmap(at) {
			t.Errorf("close: %v to %v, want %v to %v", local(&end2), remote(&end2), from, at)
		}
	}
}

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// checkSelf checks that a record names this process.
func checkSelf(t *testing.T, r *Record) {
	t.Helper()
	if r.Task.PID != uint32(os.Getpid()) || r.Task.Parent != uint32(os.Getppid()) || r.Task.UID != uint32(os.Geteuid()) || r.Task.Start == 0 {
		t.Errorf("record of kind %d: task %+v, want process %d", r.Kind, r.Task, os.Getpid())
	}
}

// TestTCP_Reset resets connections from either side.
func TestTCP_Reset(t *testing.T) {
	ns := testenv.NewNetNS(t)
	w := newWatch(t, inNetNS(ns))
	for _, here := range []string{"client", "server"} {
		t.Run(here, func(t *testing.T) {
			var client, server *sock
			ns.Do(func() {
				l := listen(t, loopbacks["IPv4"])
				client = connect(t, l.name())
				server = l.accept(true)
			})
			a, b := client, server
			if here == "server" {
				a, b = server, client
			}
			a.send(10)
			b.receive(10)
			a.linger0()
			a.close()
			ra, rb := w.one("close", of(TCPClose, a.cookie)), w.one("close", of(TCPClose, b.cookie))
			if !ra.ResetHere || ra.Err != 0 || ra.BytesSent != 10 {
				t.Errorf("the side that reset: %+v", ra)
			}
			if rb.ResetHere || rb.Err != uint32(unix.ECONNRESET) || rb.BytesReceived != 10 {
				t.Errorf("the other side: %+v", rb)
			}
		})
	}
}

// TestTCP_Queued: a connection that nobody accepted ends with its listener, and
// only such a one is said to.
func TestTCP_Queued(t *testing.T) {
	ns := testenv.NewNetNS(t)
	w := newWatch(t, inNetNS(ns))
	for name, c := range map[string]struct {
		end    func(l, client *sock)
		queued bool
	}{
		"close":    {func(l, _ *sock) { l.close() }, true},
		"shutdown": {func(l, _ *sock) { must(t, "shutdown", unix.Shutdown(l.fd, unix.SHUT_RD)) }, true},
		"the client has closed": {func(l, client *sock) {
			client.close()
			l.close()
		}, true},
		"the client resets": {func(_, client *sock) { client.linger0(); client.close() }, false},
		"accepted and reset": {func(l, _ *sock) {
			s := l.accept(false)
			s.linger0()
			s.close()
		}, false},
		"accepted and closed with data unread": {func(l, client *sock) {
			client.send(10)
			client.acknowledged()
			l.accept(false).close()
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			var l, client *sock
			ns.Do(func() {
				l = listen(t, loopbacks["IPv4"])
				client = connect(t, l.name())
			})
			from := client.name()
			client.acknowledged()
			c.end(l, client)
			r := w.one("close", func(r *Record) bool { return r.Kind == TCPClose && remote(r) == unmap(from) })
			if r.Queued != c.queued {
				t.Errorf("queued %v, want %v", r.Queued, c.queued)
			}
			if c.queued {
				checkSelf(t, &r)
			}
			if c.queued && (r.Accepted || !r.ResetHere) {
				t.Errorf("accepted %v, reset here %v", r.Accepted, r.ResetHere)
			}
		})
	}
}
