package bpfevent

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// openProto opens a socket of a protocol that a kernel may be built without.
func openProto(t *testing.T, ns *testenv.NetNS, typ, proto int, what string) *sock {
	t.Helper()
	var fd int
	var err error
	ns.Do(func() { fd, err = unix.Socket(unix.AF_INET, typ|unix.SOCK_CLOEXEC, proto) })
	if errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.ENOPROTOOPT) {
		testenv.Lacks(t, what, err.Error())
	}
	return newSock(t, fd, err)
}

// TestUDPLite counts what goes over UDP-Lite, as of UDP.
func TestUDPLite(t *testing.T) { eachWay(t, testUDPLite) }

func testUDPLite(t *testing.T, packets bool) {
	ns := testenv.NewNetNS(t)
	w := newWatch(t, countingIn(ns, packets))
	server := openProto(t, ns, unix.SOCK_DGRAM, unix.IPPROTO_UDPLITE, "UDP-Lite")
	client := openProto(t, ns, unix.SOCK_DGRAM, unix.IPPROTO_UDPLITE, "UDP-Lite")
	server.bind(loopbacks["IPv4"])
	client.sendTo(100, server.name())
	from := server.receiveFrom(100)
	server.sendTo(30, from)
	client.receiveFrom(30)
	at := server.name()
	client.close()
	server.close()
	bind := w.one("bind", of(UDPBind, server.cookie))
	if bind.Proto != uint8(whose.UDPLite) || local(&bind) != at {
		t.Errorf("bind: %+v", bind)
	}
	for _, end := range []*sock{client, server} {
		open, over := w.one("open", of(UDPOpen, end.cookie)), w.one("close", of(UDPClose, end.cookie))
		if open.Proto != uint8(whose.UDPLite) || open.Out != (end == client) {
			t.Errorf("open: %+v", open)
		}
		checkSelf(t, &open)
		if end == client {
			counts(t, &over, 100, 30, 1, 1)
		} else {
			counts(t, &over, 30, 100, 1, 1)
		}
	}
}
