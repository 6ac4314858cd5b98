package collect_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/internal/pair"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// A standing source has the same connections each time: both ends of each, as the
// source bpf gives them. It costs no more than copying.
type standing struct {
	sockets  []source.Socket
	holdings []source.Holding
	tasks    []source.Task
}

// stand makes n sockets, which are shared by a thousand processes.
func stand(n int) *standing {
	const procs = 1000
	s := &standing{}
	for i := range uint32(procs) {
		s.tasks = append(s.tasks, source.Task{PID: i + 1, Start: uint64(i), Comm: [16]byte{'p', byte('a' + i%26), byte('a' + i/26%26)}})
	}
	loopback := func(third, fourth byte) [16]byte {
		return [16]byte{10: 0xff, 11: 0xff, 12: 127, 13: third, 15: fourth}
	}
	for i := range n {
		port := uint16(1024 + i/2%60_000)
		here, there := loopback(1, byte(i/2/60_000)), loopback(2, 1)
		x := source.Socket{
			End: pair.End{
				Local: here, LocalPort: port, Remote: there, RemotePort: 443, NetNS: 4026531840,
				Proto: whose.TCP, Family: whose.IPv4, State: whose.Established,
			},
			Inode: uint64(i)*7 + 1, Cookie: uint64(i) + 1, Flags: source.SocketFile,
		}
		if i%2 == 1 {
			x.Local, x.LocalPort, x.Remote, x.RemotePort = there, 443, here, port
		}
		s.sockets = append(s.sockets, x)
		s.holdings = append(s.holdings, source.Holding{Inode: x.Inode, PID: uint32(i*31%procs + 1), FD: int32(i)})
	}
	return s
}

func (s *standing) Name() string { return collect.BPF }

func (s *standing) Capabilities() source.Capabilities {
	return source.Capabilities{FindsSockets: true, FindsHolders: true}
}

func (s *standing) Read(_ context.Context, _ *source.Query, snap *source.Snapshot) error {
	snap.Sockets = append(snap.Sockets, s.sockets...)
	snap.Holdings = append(snap.Holdings, s.holdings...)
	snap.Tasks = append(snap.Tasks, s.tasks...)
	snap.NetNS = append(snap.NetNS, 4026531840)
	return nil
}

func (s *standing) Close() error { return nil }

// BenchmarkCollect takes sockets through all stages and reads the answer.
func BenchmarkCollect(b *testing.B) {
	for _, n := range []int{1000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			c := collect.OpenWith(stand(n))
			defer c.Close()
			b.ReportAllocs()
			for b.Loop() {
				answer, err := c.Collect(context.Background(), &collect.Options{Source: collect.BPF})
				if err != nil {
					b.Fatal(err)
				}
				seen := 0
				for range answer.Sessions() {
					seen++
				}
				if answer.Close(); seen != n {
					b.Fatalf("%d sessions, want %d", seen, n)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/session")
		})
	}
}
