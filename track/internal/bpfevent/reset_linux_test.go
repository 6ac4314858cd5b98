package bpfevent

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// untilClosed waits for a reset, which may still be on its way when the other
// end has closed: Linux before 6.5 may leave it to ksoftirqd. Who closes with
// data unread before it comes resets the connection.
func (s *sock) untilClosed() {
	s.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		info, err := unix.GetsockoptTCPInfo(s.fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		must(s.t, "read state", err)
		if whose.State(info.State) == whose.Close {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("the connection is still %v", whose.State(info.State))
		}
	}
}

// TestTCP_ResetInQueue resets connections that wait to be accepted: there, and
// not here.
func TestTCP_ResetInQueue(t *testing.T) {
	ns := testenv.NewNetNS(t)
	w := newWatch(t, inNetNS(ns))
	for family, addr := range loopbacks {
		t.Run(family, func(t *testing.T) {
			var l *sock
			ns.Do(func() { l = listen(t, addr) })
			for i := range 10 {
				var client *sock
				ns.Do(func() { client = connect(t, l.name()) })
				client.send(10)
				client.acknowledged()
				client.linger0()
				client.close()
				server := l.accept(i%2 == 0)
				server.untilClosed()
				server.close()
				r := w.one("close", of(TCPClose, server.cookie))
				if unix.Errno(r.Err) != unix.ECONNRESET || r.ResetHere || r.BytesReceived != 10 {
					t.Errorf("close: %v, reset here %v, from %v, received %d", unix.Errno(r.Err), r.ResetHere, whose.State(r.OldState), r.BytesReceived)
				}
			}
		})
	}
}
