package tally

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/seed-44df2ae6/whose"
)

const hostSpace = 4026531840

// busy makes n sessions of a host as large hosts are: listeners, clients from
// many addresses, and processes that talk to many.
func busy(n int) func(yield func(*whose.Session) bool) {
	return func(yield func(*whose.Session) bool) {
		procs := make([]*whose.Process, 1000)
		for i := range procs {
			procs[i] = &whose.Process{PID: uint32(100 + i), StartTime: time.Unix(int64(i), 0), Comm: fmt.Sprintf("app%04d", i%300),
				Unit: fmt.Sprintf("app%04d.service", i%300), User: "app"}
		}
		var s whose.Session
		for i := range n {
			p := i % len(procs)
			remote := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
			local := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 1}), uint16(1000+p%200))
			s = whose.Session{Proto: whose.TCP, Family: whose.IPv4, NetNS: hostSpace, Local: local, State: whose.Established,
				Remote: netip.AddrPortFrom(remote, 9999), Direction: whose.In, Owners: []whose.Owner{{Process: procs[p], FDs: []int32{3}}}}
			if i < 200 {
				s.State, s.Direction, s.Remote = whose.Listen, 0, netip.AddrPort{}
			}
			if !yield(&s) {
				return
			}
		}
	}
}

// TestHost_Memory holds the budget of a count at 100,000 sessions
// of as many hosts, the hardest case: 7.2 MiB measured, and some headroom.
func TestHost_Memory(t *testing.T) {
	const budget = 12 << 20
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	h := NewHost(HostOptions{NetNS: hostSpace})
	for s := range busy(100_000) {
		h.Add(s)
	}
	used := heap() - before
	c := h.Count()
	if used > budget {
		t.Errorf("%d KiB in use, want at most %d", used>>10, budget>>10)
	}
	if c.Totals.Sessions != 100_000 || c.Totals.RemoteHosts != 100_000-200 || len(c.Listeners) != 200 || len(c.Programs) != 300 {
		t.Errorf("%d sessions, %d hosts, %d listeners, %d programs", c.Totals.Sessions, c.Totals.RemoteHosts,
			len(c.Listeners), len(c.Programs))
	}
	t.Logf("%d KiB for 100,000 sessions", used>>10)
}

// BenchmarkHost is the cost of one session.
func BenchmarkHost(b *testing.B) {
	var sessions []whose.Session
	for s := range busy(100_000) {
		sessions = append(sessions, *s)
	}
	b.ReportAllocs()
	for b.Loop() {
		h := NewHost(HostOptions{NetNS: hostSpace})
		for i := range sessions {
			h.Add(&sessions[i])
		}
	}
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/100_000, "ns/session")
}
