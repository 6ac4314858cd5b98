package collect

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/pair"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// BenchmarkDerive finds listeners and other ends among 100,000 sockets: 100
// listeners, and connections of which half have both ends here.
func BenchmarkDerive(b *testing.B) {
	const n = 100_000
	r := rand.New(rand.NewPCG(1, 2))
	var sockets []source.Socket
	add := func(state whose.State, local, remote uint32, lport, rport uint16) {
		s := source.Socket{}
		s.Proto, s.Family, s.State, s.NetNS = whose.TCP, whose.IPv4, state, 1
		s.Local, s.Remote = pair.AnyIPv4, pair.AnyIPv4
		binary.BigEndian.PutUint32(s.Local[12:], local)
		binary.BigEndian.PutUint32(s.Remote[12:], remote)
		s.LocalPort, s.RemotePort = lport, rport
		sockets = append(sockets, s)
	}
	for i := range 100 {
		add(whose.Listen, 0, 0, uint16(8000+i), 0)
	}
	for len(sockets) < n {
		port, server, client := uint16(20000+r.IntN(40000)), uint32(0x0a000001), uint32(0x0a000100+r.IntN(4096))
		to := uint16(8000 + r.IntN(100))
		add(whose.Established, server, client, to, port)
		if r.IntN(3) == 0 {
			add(whose.Established, client, server, port, to)
		}
	}
	r.Shuffle(len(sockets), func(i, j int) { sockets[i], sockets[j] = sockets[j], sockets[i] })
	var d derived
	for b.Loop() {
		d.findListeners(sockets)
		d.findPeers(sockets)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/socket")
}
