package collect

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/pair"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// crowdedHost makes sockets of few addresses, ports and namespaces: each has
// several listeners, and many other ends.
func crowdedHost(r *rand.Rand, n int) []source.Socket {
	sockets := make([]source.Socket, n)
	address := func() [16]byte {
		a := pair.AnyIPv4
		binary.BigEndian.PutUint32(a[12:], 0x0a000000+r.Uint32N(4))
		return a
	}
	for i := range sockets {
		s := &sockets[i]
		s.Proto, s.Family, s.State, s.NetNS = whose.TCP, whose.IPv4, whose.Established, 1+r.Uint32N(3)
		s.Local, s.Remote = address(), address()
		s.LocalPort, s.RemotePort = uint16(1+r.IntN(4000)), uint16(1+r.IntN(4000))
		switch r.IntN(20) {
		case 0:
			s.State, s.Remote, s.RemotePort = whose.Listen, pair.AnyIPv4, 0
			if r.IntN(2) == 0 {
				s.Local = pair.AnyIPv4
			}
		case 1, 2, 3:
			if o := &sockets[r.IntN(i+1)]; o.RemotePort != 0 {
				s.Local, s.LocalPort, s.Remote, s.RemotePort = o.Remote, o.RemotePort, o.Local, o.LocalPort
			}
		}
	}
	return sockets
}

// plainListener and plainPeer compare with every other socket.
func plainListener(sockets []source.Socket, s *source.Socket) (best uint32) {
	if s.IsListener() || s.RemotePort == 0 || s.Origin() == pair.Connected {
		return 0
	}
	highest := 0
	for i := range sockets {
		l := &sockets[i]
		if !l.IsListener() || l.Port() != s.Port() {
			continue
		}
		if rank := l.Rank(&s.End); rank > highest {
			best, highest = uint32(i+1), rank
		}
	}
	return best
}

func plainPeers(sockets []source.Socket, i int) map[uint32]bool {
	all, same := make(map[uint32]bool), make(map[uint32]bool)
	s := &sockets[i]
	for k := range sockets {
		o := &sockets[k]
		if k == i || s.RemotePort == 0 || o.RemotePort == 0 || !s.Faces(&o.End) {
			continue
		}
		all[uint32(k+1)] = true
		if s.NetNS == o.NetNS {
			same[uint32(k+1)] = true
		}
	}
	if len(same) > 0 {
		return same
	}
	return all
}

// On one goroutine and on several each session has its listener and its other
// end, as comparing it with every socket finds them.
func TestDerive_AgreesWithPlainRules(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	r := rand.New(rand.NewPCG(11, 12))
	for _, procs := range []int{1, 2, 3, 8} {
		runtime.GOMAXPROCS(procs)
		var d derived
		for _, n := range []int{3000, manySockets + 77} {
			sockets := crowdedHost(r, n)
			d.findListeners(sockets)
			d.findPeers(sockets)
			listened, paired := 0, 0
			for range 300 {
				i := r.IntN(n)
				if want := plainListener(sockets, &sockets[i]); d.listener[i] != want {
					t.Fatalf("%d processors: listener of socket %d is %d, want %d", procs, i, d.listener[i], want)
				}
				want := plainPeers(sockets, i)
				if got := d.peer[i]; got == 0 != (len(want) == 0) || got != 0 && !want[got] {
					t.Fatalf("%d processors: other end of socket %d is %d, want one of %v", procs, i, got, want)
				}
				listened, paired = listened+int(min(1, d.listener[i])), paired+min(1, len(want))
			}
			if listened == 0 || paired == 0 {
				t.Errorf("%d sockets: %d have a listener and %d another end: nothing was tried", n, listened, paired)
			}
		}
	}
}

// Sockets that all have the same two ends, in many namespaces, fill one part of
// the index alone.
func TestPeers_OneHash(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(8))
	const n = 2*manySockets + 2
	sockets := make([]source.Socket, n)
	for i := range sockets {
		s := sock(whose.Established, "10.0.0.1:1", "10.0.0.2:2")
		if i%2 == 1 {
			s.Local, s.LocalPort, s.Remote, s.RemotePort = s.Remote, s.RemotePort, s.Local, s.LocalPort
		}
		s.NetNS = uint32(1 + i/2)
		sockets[i] = s
	}
	var d derived
	d.findPeers(sockets[:manySockets/8]) // comparing all of them is the price
	for i := range manySockets / 8 {
		if want := uint32(i^1) + 1; d.peer[i] != want {
			t.Fatalf("other end of %d is %d, want %d", i, d.peer[i], want)
		}
	}
	var x endIndex
	x.hash(sockets, 8)
	most := int32(0)
	for p := range x.counts {
		most = max(most, x.counts[p].Load())
	}
	if most != n {
		t.Errorf("%s", fmt.Sprint("the fullest part has ", most, " ends, want all ", n))
	}
}

// TestPairByFlow has ends with one flow id found where their addresses do not show
// it, and none where more than two have it.
func TestPairByFlow(t *testing.T) {
	end := func(flow uint64, port uint16) source.Socket {
		s := source.Socket{Flow: flow}
		s.Proto, s.Family, s.State, s.NetNS = whose.TCP, whose.IPv4, whose.Established, 1
		s.Local, s.Remote, s.LocalPort, s.RemotePort = pair.AnyIPv4, pair.AnyIPv4, port, port+1000
		s.Local[15], s.Remote[15] = 1, 2
		return s
	}
	for name, c := range map[string]struct {
		flows []uint64
		want  []uint32
		needs whose.Needs
	}{
		"two":        {[]uint64{7, 8, 7}, []uint32{3, 0, 1}, whose.NeedFlow},
		"unknown":    {[]uint64{0, 0}, []uint32{0, 0}, whose.NeedFlow},
		"three":      {[]uint64{7, 7, 7}, []uint32{0, 0, 0}, whose.NeedFlow},
		"four":       {[]uint64{7, 7, 7, 7}, []uint32{0, 0, 0, 0}, whose.NeedFlow},
		"not wanted": {[]uint64{7, 7}, []uint32{0, 0}, whose.NeedPeer},
	} {
		var sockets []source.Socket
		for i, flow := range c.flows {
			sockets = append(sockets, end(flow, uint16(i+1)))
		}
		d := derived{joined: &joined{gathered: &gathered{plan: &plan{needs: c.needs}}}}
		d.findPeers(sockets)
		d.pairByFlow(sockets)
		if !slices.Equal(d.peer, c.want) {
			t.Errorf("%s: peers %v, want %v", name, d.peer, c.want)
		}
	}
}
