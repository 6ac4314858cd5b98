package render

import (
	"fmt"
	"io"
	"net/netip"
	"testing"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/lots"
)

// loadedHost has n sessions as they are on a host under load: both ends of
// connections over loopback, sorted by process.
func loadedHost(n int) []whose.Session {
	const processes = 1000
	var list []*whose.Process
	for i := range processes {
		list = append(list, process(uint32(10_000+i), fmt.Sprintf("worker-%d", i)))
	}
	sessions := make([]whose.Session, n)
	for i := range sessions {
		s := &sessions[i]
		local := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, byte(i >> 16), 1}), uint16(1024+i%60000))
		remote := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 8080)
		*s = session(whose.TCP, whose.Established, "127.0.0.1:1", "127.0.0.1:1")
		s.Local, s.Remote, s.Direction = local, remote, whose.Out
		s.Inode, s.Cookie = uint64(1_000_000+i), uint64(2_000_000+i)
		s.User = "root"
		s.Owners = []whose.Owner{{Process: list[i*processes/n], FDs: []int32{int32(3 + i%1000)}}}
		s.Peer = []whose.Owner{{Process: list[i%processes], FDs: []int32{int32(3 + i%1000)}}}
	}
	return sessions
}

func benchmark(b *testing.B, format string, opts Options) {
	const n = 100_000
	sessions := loadedHost(n)
	var w countingWriter
	b.ReportAllocs()
	for b.Loop() {
		w = 0
		r, err := New(format, opts)
		if err != nil {
			b.Fatal(err)
		}
		if err := r.Write(&w, lots.Slice(sessions), nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/session")
	b.ReportMetric(float64(w)/n, "B/session")
}

type countingWriter int

func (w *countingWriter) Write(p []byte) (int, error) {
	*w += countingWriter(len(p))
	return io.Discard.Write(p)
}

func BenchmarkRender(b *testing.B) {
	for _, format := range []string{JSON, JSONL, CSV, TSV, PyTCPProcess} {
		for _, workers := range []int{0, 1, 2} {
			b.Run(fmt.Sprintf("%s/workers=%d", format, workers), func(b *testing.B) {
				benchmark(b, format, Options{Workers: workers})
			})
		}
	}
	for _, format := range []string{Table, Wide} {
		for _, width := range []int{0, 80} {
			for _, workers := range []int{0, 1} {
				b.Run(fmt.Sprintf("%s/width=%d/workers=%d", format, width, workers), func(b *testing.B) {
					benchmark(b, format, Options{Width: width, Color: width > 0, Workers: workers})
				})
			}
		}
	}
	b.Run("template", func(b *testing.B) {
		benchmark(b, Template, Options{Template: `{{.local_port}} {{owners .owners}}`})
	})
}
