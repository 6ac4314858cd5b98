package render

import (
	"net/netip"
	"testing"
	"time"

	"github.com/seed-44df2ae6/whose"
)

// busyServer is what nginx and wrk without keep-alive make on one host: each
// connection opens and closes at both ends, with other ports, inodes and cookies.
func busyServer(connections int) []whose.Event {
	wrk, nginx := process(25250, "wrk"), process(25230, "nginx")
	wrk.Cmdline, wrk.Exe = "wrk -t1 -c32 -d19s -H Connection: close http://127.0.0.1:8080/", "/usr/bin/wrk"
	nginx.Cmdline, nginx.Exe = "nginx: worker process", "/usr/sbin/nginx"
	ends := func(n int) (client, server whose.Session) {
		there := netip.MustParseAddrPort("127.0.0.1:8080")
		here := netip.AddrPortFrom(there.Addr(), uint16(32768+n*14%28232))
		client = session(whose.TCP, whose.Established, "127.0.0.1:1", "127.0.0.1:1", owners(wrk)...)
		client.UID, client.User, client.NetNS, client.NetNSName = 0, "root", 4026532177, "lab"
		server = client
		client.Local, client.Remote, client.Direction = here, there, whose.Out
		server.Local, server.Remote, server.Direction = there, here, whose.In
		client.Inode, client.Cookie = uint64(429985541+2*n), uint64(155874981+2*n)
		server.Inode, server.Cookie = client.Inode+33, client.Cookie+1
		server.Owners, client.Peer, server.Peer = owners(nginx), owners(nginx), owners(wrk)
		return client, server
	}
	close := func(s whose.Session, by whose.Side, n int) (whose.Session, func(*whose.Event)) {
		s.State, s.TCP = whose.Close, &whose.TCPInfo{RTT: time.Duration(2+n%37) * time.Microsecond}
		return s, ended(whose.EndOrderly, by, time.Duration(700+n%512)*time.Microsecond)
	}
	const open = 32 // connections at once
	var all []whose.Event
	tell := func(kind whose.EventKind, s whose.Session, changes ...func(*whose.Event)) {
		all = append(all, event(0, kind, s, changes...))
		all[len(all)-1].Time = noon.Add(time.Duration(len(all)) * 8 * time.Microsecond)
	}
	for n := range connections + open {
		if n < connections {
			client, server := ends(n)
			tell(whose.EventOpen, client)
			tell(whose.EventOpen, server)
		}
		if n >= open {
			client, server := ends(n - open)
			s, end := close(server, whose.Here, n)
			tell(whose.EventClose, s, end, carried(154, 59))
			s, end = close(client, whose.There, n)
			tell(whose.EventClose, s, end, carried(59, 154))
		}
	}
	return all
}

// BenchmarkEvents_Busy is what an event of a busy web server costs.
func BenchmarkEvents_Busy(b *testing.B) {
	events := busyServer(1000)
	for _, format := range []string{JSONL, CSV} {
		b.Run(format, func(b *testing.B) {
			r, err := NewEvents(format, EventOptions{})
			if err != nil {
				b.Fatal(err)
			}
			const full = 64 << 10
			buf := make([]byte, 0, full+8<<10)
			total := 0
			b.ReportAllocs()
			for b.Loop() {
				for i := range events {
					before := len(buf)
					buf, _ = r.Event(buf, &events[i])
					total += len(buf) - before
					if len(buf) > full {
						buf = buf[:0]
					}
				}
			}
			n := float64(b.N * len(events))
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/n, "ns/event")
			b.ReportMetric(float64(total)/n, "B/event")
		})
	}
}
